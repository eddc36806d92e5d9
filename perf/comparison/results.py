"""A file of results: what perf/run.py writes, perf/compare.py and the table read.

  {"format": 1, "name": ..., "rounds": ..., "machine": {...}, "versions": {...}, "not_here": [...],
   "rows": [{"name": "pool/max_forward/8x96x96x16_2x2", "kind": "time",
             "flops" or "bytes": ..., what one run does
             "sides": {"curvseg": [seconds, ...], "oneDNN 2.6 nhwc": [...]},
             "peak": [flops or bytes a second, measured beside each sample],
             "bar": {"percent": 85, "ratios": {"oneDNN": 0.95}}}]}

Lists of a row are as long as its number of rounds; null where a peer had no part in a round. Kinds:
"time", seconds, which are noisy; "bytes" of memory; "count", which must not grow at all; "gain",
times as fast, of which more is better. Without "bar" nothing is asked of a row.
"""

import json
import math
import statistics

FORMAT = 1
OURS = "curvseg"
GRADIENT = "gradient"  # ours too, as a side of a row about something else
KINDS = ("time", "bytes", "count", "gain")


class BadResults(Exception):
    """The message names the file and the problem."""


def load(path):
    """\\throws BadResults"""
    try:
        results = json.loads(path.read_text())
    except OSError as error:
        raise BadResults(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadResults(f"{path}: is no text") from error
    except json.JSONDecodeError as error:
        raise BadResults(f"{path}: is no complete JSON: {error}") from error
    try:
        check(results)
    except ValueError as error:
        raise BadResults(f"{path}: {error}") from error
    return results


def check(results):
    """\\throws ValueError where something is missing that its readers rely on."""
    if not isinstance(results, dict) or results.get("format") != FORMAT:
        raise ValueError(f"has no \"format\": {FORMAT}, perf/run.py did not write it")
    for key, kind in (("name", str), ("machine", dict), ("versions", dict), ("not_here", list),
                      ("rows", list)):
        if not isinstance(results.get(key), kind):
            raise ValueError(f"\"{key}\" is missing, or no {kind.__name__}")
    if not results["rows"]:
        raise ValueError("has no rows")
    seen = set()
    for row in results["rows"]:
        check_row(row)
        if row["name"] in seen:
            raise ValueError(f"row {row['name']} comes twice")
        seen.add(row["name"])


def check_row(row):
    if not isinstance(row, dict) or not isinstance(row.get("name"), str):
        raise ValueError("a row has no name")
    if row.get("kind") not in KINDS:
        raise ValueError(f"row {row['name']}: \"kind\" must be one of {', '.join(KINDS)}")
    sides = row.get("sides")
    if not isinstance(sides, dict) or OURS not in sides:
        raise ValueError(f"row {row['name']}: no samples of {OURS}")
    for side, values in [*sides.items(), ("peak", row.get("peak", sides[OURS]))]:
        if not isinstance(values, list) or not values or len(values) != len(sides[OURS]):
            raise ValueError(f"row {row['name']}: the samples of {side} are not as many as those "
                             f"of {OURS}")
        taken = [value for value in values if value is not None]
        if not taken or not all(map(is_sample, taken)):
            raise ValueError(f"row {row['name']}: the samples of {side} must be numbers, finite "
                             "and not negative")
        if side in (OURS, "peak") and None in values:
            raise ValueError(f"row {row['name']}: a sample of {side} is missing")
        if row["kind"] == "time" and min(taken) <= 0.0:
            raise ValueError(f"row {row['name']}: a sample of {side} took no time")


def is_sample(value):
    return (isinstance(value, (int, float)) and not isinstance(value, bool)
            and math.isfinite(value) and value >= 0.0)


def save(results, path):
    check(results)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(text_of(rounded(results)))
    part.replace(path)


def text_of(results):
    """A line a row, so that two files can be read side by side."""
    head = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in results.items()
            if key != "rows"]
    rows = ",\n".join(json.dumps(row) for row in results["rows"])
    return "{" + ",\n".join([*head, f'"rows": [\n{rows}\n]']) + "}\n"


def rounded(value):
    """Six digits are more than any clock here gives."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    return [rounded(each) for each in value] if isinstance(value, list) else value


def ours(row):
    return statistics.median(row["sides"][OURS])


def best_peer(row, maker=""):
    """Of the other sides whose name begins with `maker`, the one of the least ratio to ours, as it
    is round by round: rounds of different sides may lie minutes apart. Our own gradient if there is
    no other, None if there is nothing."""
    peers = [side for side in row["sides"] if side != OURS and side.startswith(maker)]
    peers = [side for side in peers if side != GRADIENT] or peers
    return min(peers, key=lambda side: ratio(row, side)[0], default=None)


def ratio(row, peer):
    """How many times ours a peer's seconds, or bytes, are, of gains the reverse: (median, least,
    largest) of the rounds."""
    pairs = [(m, t) for m, t in zip(row["sides"][OURS], row["sides"][peer]) if t is not None]
    if row["kind"] == "gain":
        pairs = [(t, m) for m, t in pairs]
    each = [t / m if m else float("inf") for m, t in pairs]
    return statistics.median(each), min(each), max(each)


def rate(row):
    """Operations or bytes a second, or None."""
    work = row.get("flops") or row.get("bytes")
    return work / ours(row) if work and row["kind"] == "time" else None


def percent_of_peak(row):
    """The median over the samples, each in ratio to the peak measured beside it; or None."""
    work, peak, mine = row.get("flops") or row.get("bytes"), row.get("peak"), row["sides"][OURS]
    if not work or not peak:
        return None
    return statistics.median(100.0 * work / m / p for m, p in zip(mine, peak))
