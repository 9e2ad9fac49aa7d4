"""Hive's metastore, in the foreground, bound to one address: Hive's own launcher of this version binds them all."""

import os

from py4j.java_gateway import GatewayParameters, JavaGateway


def submitting_jvm() -> JavaGateway:
    """The JVM of the spark-submit that runs this file. Importing pyspark for it would cost 50 MB and two seconds."""
    parameters = GatewayParameters(
        port=int(os.environ["PYSPARK_GATEWAY_PORT"]), auth_token=os.environ["PYSPARK_GATEWAY_SECRET"]
    )
    return JavaGateway(gateway_parameters=parameters)


def serve(address: str, port: int) -> None:
    """Serves the metastore's Thrift interface at ``address``; returns only when the JVM ends."""
    jvm = submitting_jvm().jvm
    metastore, thrift = jvm.org.apache.hadoop.hive.metastore, jvm.org.apache.thrift
    conf = jvm.org.apache.hadoop.hive.conf.HiveConf()
    # What the embedded client is; the server asks its own database.
    conf.set("hive.metastore.uris", "")
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
