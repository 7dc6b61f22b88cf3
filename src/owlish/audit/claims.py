"""What a stamp claims of rows, beside what an audit measured of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from owlish.audit.evidence import Kinship
from owlish.audit.relative import SURE
from owlish.audit.stamped import Check, Stamped
from owlish.audit.verdict import Verdict
from owlish.data.filters import Filter
from owlish.data.rows import Row
from owlish.data.stamp import Stamp
from owlish.graph.counted import counted
from owlish.nodes.data import Dataset


def with_stamps(verdict: Verdict, data: Dataset, stamps: Sequence[Stamp], filters: Mapping[str, Filter]) -> Verdict:
    """Return a verdict with what the stamps of its files claim, and what was measured of each claim.

    `filters` are the filters that a stamp can name. The stamps' hashes were compared when they were read.
    """
    # Places name a file only where there are several.
    one = len({place.file for place in data.places}) < 2
    files = [place.file.rpartition("/")[2] for place in data.places]
    stamped = []
    for stamp in stamps:
        rows = [row for row, file in zip(data.rows, files, strict=False) if one or file == stamp.file]
        checks = [base(stamp, verdict), rule(stamp, rows, filters)]
        # Of several files the verdict counts all rows together, so no single stamp can be compared.
        if one:
            held = f"the file holds {counted(verdict.read, 'row')}"
            checks.append(Check("rows", f"{stamp.rows:,}", held, stamp.rows == verdict.read))
        stamped.append(Stamped(stamp, tuple(check for check in checks if check is not None)))
    return replace(verdict, stamps=tuple(stamped))


def rule(stamp: Stamp, rows: Sequence[Row], filters: Mapping[str, Filter]) -> Check | None:
    """Compare the filter: all rows that were read must pass it."""
    if stamp.filter is None:
        return None
    if stamp.filter not in filters:
        return Check("filter", stamp.filter, "not tested: no filter of owlish has this name", None)
    passed = sum(not filters[stamp.filter].against(row) for row in rows)
    return Check("filter", stamp.filter, f"{passed:,} of the {len(rows):,} rows used pass it", passed == len(rows))


def base(stamp: Stamp, verdict: Verdict) -> Check | None:
    """Compare the base from which the writer is said to have started with the kinship that was measured."""
    if stamp.base is None:
        return None
    kin, own = verdict.lineage, verdict.base
    here, there = verdict.base_sha256, stamp.base_sha256
    # A name can mean other files elsewhere: where both digests are known, they decide.
    same = stamp.base == own if None in (here, there) else here == there
    # Before kinship, which is about the base here and not about the files that the stamp names.
    if stamp.base == own and not same:
        return Check("base", stamp.base, f"the files of {own} are not those that the stamp names", False)
    if kin is None:
        return Check("base", stamp.base, "kinship was not tested", None)
    if same:
        unknown = "it cannot be told whether the writer is related to"
        told = {True: "the writer is related to", False: "the writer is not related to", None: unknown}[kin.relative]
        return Check("base", stamp.base, f"{told} {own}", kin.relative)
    return another(stamp.base, own, kin)


def another(claimed: str, own: str, kin: Kinship) -> Check:
    """Compare a base that is not the audited one: by its likelihood of the rows, if it is among those compared."""
    lead = next((lead for lead in kin.leads if lead.over == claimed), None)
    # Leads are those of the audited base, so a negative one speaks for the other.
    if lead is not None and abs(lead.nats) > SURE * lead.error:
        nearer, other = (claimed, own) if lead.nats < 0 else (own, claimed)
        return Check("base", claimed, f"{nearer} finds the rows likelier than {other} does", nearer == claimed)
    related = {True: f"the writer is related to {own}; ", False: f"the writer is not related to {own}; ", None: ""}
    return Check("base", claimed, f"{related[kin.relative]}to test {claimed}, audit with --base {claimed}", None)
