"""``stemstream cache``: the stems that are kept from other times."""

from __future__ import annotations

import time

from streamer.cli.options import Debug, Json
from streamer.cli.terminal import print_json, print_note, print_result

__all__ = ["clear_cache", "list_cache"]


def list_cache(json: Json = False, debug: Debug = False) -> int:
    """List the songs whose stems are kept, and where.

    What was not used for the longest time goes when there is more than `play --cache-gb` allows.
    """
    from engine.stem_cache import StemCache

    cache = StemCache()
    entries = cache.entries()
    total = sum(entry.size_bytes for entry in entries)
    if json:
        print_json(
            {"folder": str(cache.folder), "size_bytes": total, "entries": [entry.as_dict() for entry in entries]}
        )
        return 0
    for entry in entries:
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used_s))
        seconds = entry.frames / entry.sample_rate
        print_result(f"{entry.size_bytes / 1e6:8.1f} MB  {used}  {seconds:7.1f} s  {entry.title}  ({entry.model})")
    print_note(f"{len(entries)} song(s), {total / 1e6:.1f} MB in {cache.folder}")
    return 0


def clear_cache(json: Json = False, debug: Debug = False) -> int:
    """Remove all stems that are kept; downloaded models stay."""
    from engine.stem_cache import StemCache

    cache = StemCache()
    count, size = cache.clear()
    if json:
        print_json({"folder": str(cache.folder), "removed": count, "size_bytes": size})
    else:
        print_result(f"removed {count} song(s), {size / 1e6:.1f} MB, from {cache.folder}")
    return 0
