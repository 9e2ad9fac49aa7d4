"""Hive's metastore, in the foreground, bound to one address: Hive's own launcher of this version binds them all."""

import os
import re
import zipfile
from pathlib import Path
from typing import Any

from py4j.java_gateway import GatewayParameters, JavaGateway


def submitting_jvm() -> JavaGateway:
    """The JVM of the spark-submit that runs this file. Importing pyspark for it would cost 50 MB and two seconds."""
    parameters = GatewayParameters(
        port=int(os.environ["PYSPARK_GATEWAY_PORT"]), auth_token=os.environ["PYSPARK_GATEWAY_SECRET"]
    )
    return JavaGateway(gateway_parameters=parameters)


def stored_classes(spark_home: Path) -> list[str]:
    """The classes that the metastore keeps in tables, as its own mapping names them."""
    (jar,) = (spark_home / "jars").glob("hive-metastore-*.jar")
    mapping = zipfile.ZipFile(jar).read("package.jdo").decode()
    (package,) = re.findall(r'<package name="([\w.]+)"', mapping)
    return [f"{package}.{name}" for name in re.findall(r'<class name="(\w+)"', mapping)]


def make_tables(jvm: Any, conf: Any, classes: list[str]) -> None:
    """Makes every table that is not there.

    Made when the first statement needs it, a table that refers to one which the statement has written to waits for the
    statement's end: in PostgreSQL for ever.
    """
    store = jvm.org.apache.hadoop.hive.metastore.ObjectStore()
    store.setConf(conf)
    manager = store.getPersistenceManager()
    names = jvm.java.util.HashSet()
    for name in classes:
        names.add(name)
    factory = manager.getPersistenceManagerFactory()
    factory.getNucleusContext().getStoreManager().createSchemaForClasses(names, jvm.java.util.Properties())
    store.shutdown()


def serve(address: str, port: int) -> None:
    """Serves the metastore's Thrift interface at ``address``; returns only when the JVM ends."""
    jvm = submitting_jvm().jvm
    metastore, thrift = jvm.org.apache.hadoop.hive.metastore, jvm.org.apache.thrift
    conf = jvm.org.apache.hadoop.hive.conf.HiveConf()
    # What the embedded client is; the server asks its own database.
    conf.set("hive.metastore.uris", "")
    make_tables(jvm, conf, stored_classes(Path(os.environ["SPARK_HOME"])))
    handler = metastore.RetryingHMSHandler.getProxy(
        conf, metastore.HiveMetaStore.HMSHandler("metastore", conf, False), False
    )
    socket = thrift.transport.TServerSocket(jvm.java.net.InetSocketAddress(address, port))
    arguments = (
        thrift.server.TThreadPoolServer.Args(socket)
        .processor(metastore.TSetIpAddressProcessor(handler))
        .protocolFactory(thrift.protocol.TBinaryProtocol.Factory())
        .transportFactory(thrift.transport.TTransportFactory())
        .minWorkerThreads(8)
    )
    thrift.server.TThreadPoolServer(arguments).serve()


if __name__ == "__main__":
    serve(os.environ["MLOPS_BIND_ADDRESS"], int(os.environ["MLOPS_METASTORE_PORT"]))
