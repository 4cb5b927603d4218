"""What an engine's answers are made of, as far as they are read: an answer of another shape is none.

A shape is a type, a list of one shape, or an object: by its keys, or `ANY` for each of them. What is missing or null is
nobody's fault here. After https://docs.docker.com/reference/api/engine/version/v1.47/ and recordings of four engines.
"""

from __future__ import annotations

from typing import Any

ANY = "*"
_NUMBER = (int, float)

LISTED = {
    "Id": str, "Names": [str], "Image": str, "ImageID": str, "State": str, "Status": str, "Labels": {ANY: str},
    "Ports": [{"IP": str, "PrivatePort": int, "PublicPort": int, "Type": str}],
    "NetworkSettings": {"Networks": {ANY: {"IPAddress": str}}}, "HostConfig": {"NetworkMode": str},
}  # fmt: skip
INSPECTED = {
    "Id": str, "Name": str, "Path": str, "Args": [str], "Image": str, "RestartCount": int,
    "Config": {"Env": [str], "Labels": {ANY: str}, "Image": str, "User": str, "Hostname": str, "ExposedPorts": {},
               "Healthcheck": {"Test": [str]}},
    "State": {"Status": str, "StartedAt": str, "FinishedAt": str, "ExitCode": int, "Error": str,
              "Health": {"Status": str, "FailingStreak": int,
                         "Log": [{"Start": str, "End": str, "ExitCode": int, "Output": str}]}},
    "HostConfig": {"NetworkMode": str, "Memory": int, "RestartPolicy": {"Name": str}, "LogConfig": {"Type": str}},
    "NetworkSettings": {"Networks": {ANY: {"IPAddress": str, "Aliases": [str], "DNSNames": [str]}},
                        "Ports": {ANY: [{}]}},
    "Mounts": [{"Type": str, "Source": str, "Destination": str}],
}  # fmt: skip
_PROCESSORS = {"cpu_usage": {"total_usage": _NUMBER}, "system_cpu_usage": _NUMBER, "online_cpus": _NUMBER}
STATS = {
    "read": str, "preread": str, "cpu_stats": _PROCESSORS, "precpu_stats": _PROCESSORS,
    "memory_stats": {"usage": _NUMBER, "limit": _NUMBER, "stats": {ANY: _NUMBER}}, "pids_stats": {"current": _NUMBER},
    "networks": {ANY: {"rx_bytes": _NUMBER, "tx_bytes": _NUMBER}},
    "blkio_stats": {"io_service_bytes_recursive": [{"op": str, "value": _NUMBER}]},
}  # fmt: skip


def checked(answer: Any, shape: Any, where: str = "the answer") -> Any:
    """The answer itself. Raises ValueError if it is not of this shape."""
    if isinstance(shape, dict):
        kind: Any = dict
    else:
        kind = list if isinstance(shape, list) else shape
    if not isinstance(answer, kind) or (isinstance(answer, bool) and kind is not bool):
        raise ValueError(f"{where} is of another kind")
    if isinstance(shape, list):
        for each in answer:
            checked(each, shape[0], where)
    elif isinstance(shape, dict):
        for key, each in answer.items():
            inner = shape.get(key, shape.get(ANY))
            if inner is not None and each is not None:
                checked(each, inner, key)
    return answer
