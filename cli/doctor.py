"""`placelibre doctor`: looks everything over and says what each finding means and what to do next."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.text import Text

from cli import diagnosis
from cli.bus_access import BusAddress, CaFileOption, NatsUrlOption, SeedFileOption, operator_bus
from cli.data_folder import DATA, DataFolder, DataOption
from cli.judgement import Finding, Severity, wrong
from cli.terminal import OUT, Trouble, command_app, examples, say, say_json
from shared.runtime.clock import now

app = command_app()

STYLES: Final = {Severity.OK: "green", Severity.LOOK: "yellow", Severity.WRONG: "bold red"}


@app.command(
    epilog=examples(
        "placelibre doctor",
        "placelibre doctor --json",
        "placelibre doctor --nats-url tls://bus:4222 --seed-file operator.nk --ca-file ca.pem",
    )
)
def doctor(
    *,
    data: DataOption = DATA,
    nats_url: NatsUrlOption = None,
    seed_file: SeedFileOption = None,
    ca_file: CaFileOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings for a program.")] = False,
) -> None:
    """Look everything over, and say what to do.

    Bus, services, statuses, keys, clocks, disk. Exit 1 if something is wrong. With --nats-url it looks at that bus;
    services are asked where `placelibre up` runs here.
    """
    findings = examine(DataFolder(data.absolute()), nats_url, seed_file, ca_file)
    is_well = all(each.severity is not Severity.WRONG for each in findings)
    if as_json:
        say_json({"ok": is_well, "findings": [asdict(each) for each in findings]})
    else:
        show(findings)
    if not is_well:
        raise typer.Exit(1)


def examine(
    folder: DataFolder, nats_url: str | None, seed_file: Path | None, ca_file: Path | None = None
) -> list[Finding]:
    """Return everything that was found, in the order of the road; a part that is down hides no other."""
    findings: list[Finding] = []
    addresses = folder.addresses()
    if addresses is None and nats_url is None:
        findings.append(
            wrong(
                "placelibre",
                f"no `placelibre up` is running on {folder.path}",
                "nothing is counted, shown or posted from here",
                "start it with `placelibre up`, or name another folder with --data or a bus with --nats-url",
            )
        )
    url = nats_url or (addresses.nats if addresses else None)
    if url is not None:
        own_seed = folder.seed_file("operator") if nats_url is None else None
        branch = addresses.monitor if addresses is not None and addresses.leaf and nats_url is None else ""
        findings += asyncio.run(_of_bus(BusAddress(url, seed_file or own_seed, ca_file), branch))
    if addresses is not None:
        findings += diagnosis.of_services(addresses.of_services(), folder.logs)
    findings.append(diagnosis.of_disk(folder.path))
    return findings


async def _of_bus(address: BusAddress, branch: str) -> list[Finding]:
    """Return what a bus tells; `branch` is where the bus of a branch tells its own figures, empty for the centre's."""
    try:
        async with operator_bus(address) as bus:
            return await (diagnosis.of_branch(bus, branch) if branch else diagnosis.of_bus(bus, now()))
    except Trouble as trouble:
        meaning = "services keep what they have, readings are refused with 503, and statuses expire"
        return [wrong("bus", trouble.what, meaning, trouble.remedy)]


def show(findings: list[Finding]) -> None:
    """Print the findings for people: what is well in a line each, the rest with meaning and remedy."""
    for each in findings:
        line = Text.assemble((f"{each.severity:<6}", STYLES[each.severity]), f"{each.subject}: {each.what}")
        OUT.print(line, soft_wrap=True)
        if each.meaning:
            say(f"      it means: {each.meaning}")
        if each.remedy:
            say(f"      what to do: {each.remedy}")
    counts = {severity: sum(each.severity is severity for each in findings) for severity in Severity}
    say(f"{counts[Severity.WRONG]} wrong, {counts[Severity.LOOK]} to look at, {counts[Severity.OK]} well")
