"""The document as tables: the same for a terminal and for the report."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable

from benchmarks import filters, storage


@dataclass(frozen=True)
class Table:
    """Cells of text under a title."""

    title: str
    """What it shows."""
    columns: Sequence[str]
    """Headings."""
    rows: Sequence[Sequence[str]]
    """Cells, as many a row as there are columns."""


def of(document: Mapping[str, Any]) -> list[Table]:
    """Every table that the document has figures for."""
    places = document["places"]
    made = [_about(places), *_latency(places), _limits(places), *_few_dims(places), *_filters(places)]
    made += [_homepage(places), _throughput(places), *_storage(places), verdicts(document["targets"])]
    return [table for table in made if table.rows]


def show(console: Console, table: Table) -> None:
    """On a terminal."""
    shown = RichTable(*table.columns)
    for row in table.rows:
        shown.add_row(*row)
    console.print(table.title, style="bold", highlight=False)
    console.print(shown)


def markdown(table: Table) -> str:
    """In a report."""
    head = [table.columns, ["---"] * len(table.columns)]
    rows = [[cell.replace("|", "\\|") for cell in row] for row in (*head, *table.rows)]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([f"**{table.title}**", "", *lines, ""])


def _about(places: Mapping[str, Any]) -> Table:
    columns = ("catalogue", "items", "dims", "queries", "kth/|q|", "query non-zeros", "postings touched", "at 64 dims")
    rows = []
    for name, place in places.items():
        about = place["about"]
        sizes = (f"{about[key]:,}" for key in ("items", "dims", "queries"))
        touched = (f"{about[key]:,.0f}" for key in ("query_nonzeros", "postings_touched", "postings_touched_64"))
        rows.append((name, *sizes, f"{about['kth_over_length']:.3f}", *touched))
    return Table("What is asked (medians over queries; top 100, history excluded)", columns, rows)


def _latency(places: Mapping[str, Any]) -> Iterator[Table]:
    columns = ("engine", "median ms", "p95", "p99", "CPU median", "ours is faster by", "by CPU", "recall", "built in s")
    for name, found in _asked(places, "latency"):
        rows = []
        for engine, times in found["engines"].items():
            recall, built = found["recall"].get(engine), found["build_seconds"].get(engine)
            ratio = found["slower_than_ours"].get(engine)
            rows.append(
                (
                    engine,
                    *_times(times),
                    *(("", "") if ratio is None else (f"{ratio['wall']:.2f}", f"{ratio['cpu']:.2f}")),
                    "" if recall is None else _recall(recall),
                    "" if built is None else f"{built:.2f}",
                )
            )
        yield Table(f"{name}: one query, one thread{_noise(found)}", columns, rows)


def _recall(recall: Mapping[str, float]) -> str:
    own = recall.get("of_its_dense_truth")
    return f"{recall['of_the_truth']:.4f}" + ("" if own is None else f" (of its own truth {own:.4f})")


def _limits(places: Mapping[str, Any]) -> Table:
    columns = (
        "catalogue",
        "MB read",
        "GB/s",
        "stream ms",
        "touch ms",
        "ours / touch",
        "unpruned / touch",
        "ours / stream",
    )
    rows = []
    for name, place in _asked(places, "latency"):
        found = place["times_the_limits"]
        numbers = (found["bytes_read"] / 1e6, found["gigabytes_per_second"], found["stream_ms"], found["touch_ms"])
        ratios = (found["sparrow_to_touch"]["wall"], found["unpruned_to_touch"]["wall"], found["sparrow_to_stream"])
        rows.append((name, *(f"{number:.3g}" for number in numbers), *(f"{ratio:.2f}" for ratio in ratios)))
    return Table("The two limits (of an unpruned search)", columns, rows)


def _few_dims(places: Mapping[str, Any]) -> Iterator[Table]:
    columns = ("engine", "median ms", "p95", "p99", "CPU median", "takes times ours at 64", "by CPU", "recall")
    for name, found in _asked(places, "few_dims"):
        rows = []
        for engine, times in found["engines"].items():
            ratio, recall = found["slower_than_ours"].get(engine), found["recall"].get(engine.removesuffix(" 64"))
            shown = ("", "") if ratio is None else (f"{ratio['wall']:.2f}", f"{ratio['cpu']:.2f}")
            rows.append((engine, *_times(times), *shown, "" if recall is None else f"{recall:.4f}"))
        yield Table(f"{name}: the 64 largest dims of each query{_noise(found)}", columns, rows)


def _filters(places: Mapping[str, Any]) -> Iterator[Table]:
    columns = ("kept", *filters.KINDS)
    for name, found in _asked(places, "filters"):
        rows = []
        for share in filters.SHARES:
            each = [filters.name(kind, share) for kind in filters.KINDS]
            cells = [f"{found['engines'][key]['median_ms']:.3g}" for key in each]
            ratios = [f"{found['times_the_unfiltered'][key]['wall']:.2f}" for key in each]
            rows.append((f"{share:.2%}", *(f"{ms} ms ({times}x)" for ms, times in zip(cells, ratios, strict=True))))
        plain = found["engines"]["unfiltered"]["median_ms"]
        yield Table(f"{name}: filtered, beside {plain:.3g} ms unfiltered{_noise(found)}", columns, rows)


def _homepage(places: Mapping[str, Any]) -> Table:
    columns = (
        "catalogue",
        "12 rows ms",
        "and top picks",
        "top_n ms",
        "unpruned ms",
        "/ top_n",
        "/ unpruned",
        "segment items",
    )
    rows = []
    for name, found in _asked(places, "homepage"):
        keys = ("homepage", "homepage with top picks", "sparrow", "unpruned")
        times = (f"{found['engines'][key]['median_ms']:.3g}" for key in keys)
        ratios = (f"{found[key]['wall']:.2f}" for key in ("times_top_n", "times_unpruned"))
        rows.append((name + _noise(found), *times, *ratios, f"{found['segment_items']:,.0f}"))
    return Table("A homepage of 12 segments, 20 items each, from one pass", columns, rows)


def _throughput(places: Mapping[str, Any]) -> Table:
    batches = ("batch of 32, CPU ms a query", "/ unpruned", "/ pruned")
    columns = ("catalogue", "1 thread q/s", "2 threads", "times", "quiet rounds", *batches)
    rows = []
    for name, found in _asked(places, "throughput"):
        threads = found["threads"]
        speeds = (f"{threads['queries_per_second'][key]:,.0f}" for key in ("1 thread", "2 threads"))
        quiet = f"{threads['quiet_rounds']} of {threads['rounds']}"
        batch = ("batch_cpu_ms_per_query", "batch_cpu_times_unpruned", "batch_cpu_times_pruned")
        figures = (f"{found[key]:.3f}" for key in batch)
        rows.append((name + _noise(found), *speeds, f"{threads['two_times_one']:.2f}", quiet, *figures))
    return Table("Throughput", columns, rows)


def _storage(places: Mapping[str, Any]) -> Iterator[Table]:
    rows = []
    for name, found in _asked(places, "storage"):
        mapped = f"{found['mapped_times_memory']['wall']:.2f}"
        for kind in storage.KINDS:
            seconds = [f"{found[kind]['seconds'][key]:.3g}" for key in ("build", "write", "hash", "open", "read")]
            ratios = [f"{found[kind][key]:.2f}" for key in ("build_times_write", "open_times_read")]
            rows.append(
                (f"{name} {kind}{_noise(found)}", f"{found['bytes_per_nonzero']:.2f}", *seconds, *ratios, mapped)
            )
        parts = [(part, f"{size:,.1f}") for part, size in found["bytes_per_item"].items() if size]
        yield Table(f"{name}: bytes an item", ("part", "bytes"), parts)
    columns = ("catalogue", "bytes a non-zero", "build s", "write s", "hash s", "open s", "read s", "build / write")
    yield Table("A snapshot (building without hashing)", (*columns, "open / read", "mapped / in memory"), rows)


ORACLE = "the oracle's answers"
"""End of the names of targets that say so."""


def verdicts(told: Sequence[Mapping[str, Any]]) -> Table:
    """Of the targets that answers are the oracle's, one row for those that are met."""
    columns = ("target", "catalogue", "must be", "is", "by", "met", "doubt")
    exact = [each for each in told if each["name"].endswith(ORACLE) and each["met"]]
    rows = [_target(each) for each in told if each not in exact]
    if exact:
        rows.insert(0, (ORACLE, f"{len(exact)} questions", "== 1", "1", "figure", "yes", ""))
    return Table("Targets", columns, rows)


def _target(verdict: Mapping[str, Any]) -> tuple[str, ...]:
    met = "yes" if verdict["met"] else "NO"
    named = (verdict["name"], verdict["place"], verdict["target"], f"{verdict['value']:.3g}", verdict["by"])
    return (*named, met, verdict["doubt"] or "")


def _asked(places: Mapping[str, Any], question: str) -> list[tuple[str, Any]]:
    return [(name, place[question]) for name, place in places.items() if question in place]


def _times(times: Mapping[str, float]) -> tuple[str, ...]:
    return tuple(f"{times[key]:.3g}" for key in ("median_ms", "p95_ms", "p99_ms", "cpu_median_ms"))


def _noise(found: Mapping[str, Any]) -> str:
    return " (noisy)" if found["disturbance"]["noisy"] else ""
