"""Hive's metastore, in the foreground, bound to one address: Hive's own launcher of this version binds them all."""

import os

from pyspark.java_gateway import launch_gateway


def serve(address: str, port: int) -> None:
    """Serves the metastore's Thrift interface at ``address``; returns only when the JVM ends."""
    jvm = launch_gateway().jvm
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
