"""The document of `benchmarks.http` as tables."""

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks import tables
from benchmarks.serving.layers import LAYERS
from benchmarks.tables import Table


def of(document: Mapping[str, Any]) -> list[Table]:
    """Every table that the document has figures for; the verdicts are the last."""
    places = document["places"]
    made = [_about(places), *_throughput(places), *_latency(places), *_layers(places), *_soak(places)]
    return [*(table for table in made if table.rows), tables.verdicts(document["targets"])]


def _about(places: Mapping[str, Any]) -> Table:
    columns = (
        "place",
        "items",
        "segments",
        "users",
        "history",
        "answer bytes",
        "server's cores",
        "others' cores",
        "memory locked",
    )
    rows = []
    for name, place in places.items():
        about = place["about"]
        counts = (f"{about[key]:,}" for key in ("items", "segments", "users", "history", "answer_bytes"))
        cores = (", ".join(map(str, about[key])) for key in ("server_cores", "other_cores"))
        rows.append((name, *counts, *cores, "yes" if about["memory_locked"] else "no"))
    return Table("What is served", columns, rows)


def _throughput(places: Mapping[str, Any]) -> Iterator[Table]:
    for name, found in _asked(places, "throughput"):
        rows = [
            (endpoint, f"{told['per_second']:,.0f}", f"{told['cpu_us']:,.0f}", str(told["errors"]))
            for endpoint, told in found["endpoints"].items()
        ]
        yield Table(f"{name}: saturated{_noise(found)}", ("endpoint", "a second", "CPU us a request", "errors"), rows)
        pairs = [(pair, f"{told['wall']:.2f}", f"{told['cpu']:.2f}") for pair, told in found["ratios"].items()]
        yield Table(f"{name}: throughput as a part{_noise(found)}", ("what", "by wall time", "by CPU time"), pairs)


def _latency(places: Mapping[str, Any]) -> Iterator[Table]:
    columns = ("endpoint", "a second", "requests", "p50 ms", "p90", "p99", "p99.9", "errors", "generator late, p99")
    for name, found in _asked(places, "latency"):
        rows = []
        for endpoint, told in found["endpoints"].items():
            times = (f"{told[key]:.3g}" for key in ("p50_ms", "p90_ms", "p99_ms", "p99.9_ms"))
            counts = (f"{told['rate']:,.0f}", f"{told['requests']:,}")
            rows.append((endpoint, *counts, *times, str(told["errors"]), f"{told['sent_late_p99_ms']:.3g}"))
        yield Table(f"{name}: at half of its maximum, open loop{_noise(found)}", columns, rows)


def _layers(places: Mapping[str, Any]) -> Iterator[Table]:
    for name, found in _asked(places, "layers"):
        told = {kind: found[kind] for kind in found if kind != "disturbance"}
        rows = [
            (layer, *(f"{each['layers_us'].get(layer, 0.0):.0f}" for each in told.values()))
            for layer in LAYERS
            if any(layer in each["layers_us"] for each in told.values())
        ]
        totals = ("all", *(f"{each['cpu_us']:.0f}" for each in told.values()))
        yield Table(f"{name}: CPU us of a request by layer{_noise(found)}", ("layer", *told), [*rows, totals])


def _soak(places: Mapping[str, Any]) -> Iterator[Table]:
    columns = ("run", "seconds", "requests", "errors", "p50 ms", "p99", "p99.9", "swaps", "restarts", "MiB a minute")
    for name, found in _asked(places, "soak"):
        rows = []
        for run in ("quiet", "disturbed"):
            told = found[run]
            slope = told["resident_slope_mib_per_minute"]
            times = (f"{told[key]:.3g}" for key in ("p50_ms", "p99_ms", "p99.9_ms"))
            counts = (f"{told['seconds']:.0f}", f"{told['requests']:,}", str(told["errors"]))
            happened = (str(len(told["swaps"])), str(len(told["restarts"])))
            rows.append((run, *counts, *times, *happened, "" if slope is None else f"{slope:.2f}"))
        told_bytes = f"{found['redis_bytes_per_user']:,.0f} bytes of Redis a user"
        yield Table(f"{name}: mixed traffic, {found['rate']:,.0f} a second, {told_bytes}{_noise(found)}", columns, rows)


def _asked(places: Mapping[str, Any], question: str) -> list[tuple[str, Any]]:
    return [(name, place[question]) for name, place in places.items() if question in place]


def _noise(found: Mapping[str, Any]) -> str:
    return " (noisy)" if found["disturbance"]["noisy"] else ""
