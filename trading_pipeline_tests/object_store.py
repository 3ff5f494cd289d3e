"""An object store on loopback that speaks S3, and a bucket in it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.request import Request, urlopen

import fsspec
import pytest

BUCKET = "market-data"


@contextmanager
def object_store() -> Iterator[str]:
    """The URL of the bucket; where it is and who may use it, the variables of AWS say."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", endpoint)
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("no_proxy", f"127.0.0.1,{os.environ.get('no_proxy', '')}")
        fsspec.get_filesystem_class("s3").clear_instance_cache()
        urlopen(Request(f"{endpoint}/{BUCKET}", method="PUT")).close()
        try:
            yield f"s3://{BUCKET}/home"
        finally:
            server.stop()
            fsspec.get_filesystem_class("s3").clear_instance_cache()
