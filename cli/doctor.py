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
from cli.service_list import Service, of_addresses, services_of
from cli.terminal import OUT, Trouble, command_app, examples, say, say_json
from shared.runtime.clock import now

app = command_app()

STYLES: Final = {Severity.OK: "green", Severity.LOOK: "yellow", Severity.WRONG: "bold red"}


@app.command(
    epilog=examples(
        "placelibre doctor",
        "placelibre doctor --json",
        "placelibre doctor --nats-url tls://bus:4222 --seed-file operator.nk --ca-file ca.pem",
        "placelibre doctor --nats-url tls://bus:4222 --seed-file operator.nk --ca-file ca.pem --services services.txt",
        "placelibre doctor --services http://10.0.0.7:8001,api=https://library.example --prometheus http://127.0.0.1:9090",
    )
)
def doctor(
    *,
    data: DataOption = DATA,
    nats_url: NatsUrlOption = None,
    seed_file: SeedFileOption = None,
    ca_file: CaFileOption = None,
    services: Annotated[
        str | None,
        typer.Option(
            help="The services to ask, instead of those of --data: addresses with commas between them, or a file with"
            " one a line. `ingest=` before one says which it is where host and port do not.",
        ),
    ] = None,
    prometheus: Annotated[
        str | None, typer.Option(help="The address of Prometheus: tells also which alerts fire now.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings for a program.")] = False,
) -> None:
    """Look everything over, and say what to do.

    Bus, services, statuses, counts, exports, keys, certificates, clocks, disk. Exit 1 if something is wrong. With
    --nats-url and --services it looks at a bus and services elsewhere; else at those of `placelibre up` here.
    """
    elsewhere = None if services is None else services_of(services)
    findings = examine(DataFolder(data.absolute()), nats_url, seed_file, ca_file, elsewhere)
    if prometheus is not None:
        findings += diagnosis.of_prometheus(prometheus)
    is_well = all(each.severity is not Severity.WRONG for each in findings)
    if as_json:
        say_json({"ok": is_well, "findings": [asdict(each) for each in findings]})
    else:
        show(findings)
    if not is_well:
        raise typer.Exit(1)


def examine(
    folder: DataFolder,
    nats_url: str | None,
    seed_file: Path | None,
    ca_file: Path | None = None,
    services: list[Service] | None = None,
) -> list[Finding]:
    """Return everything that was found, in the order of the road; a part that is down hides no other."""
    findings: list[Finding] = []
    addresses = folder.addresses()
    if addresses is None and nats_url is None and services is None:
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
    if services is not None:
        findings += diagnosis.of_services(services, "the log of the {}", now())
    elif addresses is not None:
        here = of_addresses(addresses.of_services())
        findings += diagnosis.of_services(here, str(folder.logs / "{}.log"), now(), is_branch=bool(addresses.leaf))
    if addresses is not None or (nats_url is None and services is None):
        findings.append(diagnosis.of_disk(folder.path))  # of a bus elsewhere the auditor tells how full its store is
    return findings


async def _of_bus(address: BusAddress, branch: str) -> list[Finding]:
    """Return what a bus tells; `branch` is where the bus of a branch tells its own figures, empty for the centre's."""
    try:
        async with operator_bus(address) as bus:
            return await (diagnosis.of_branch(bus, branch) if branch else diagnosis.of_bus(bus, now()))
    except Trouble as trouble:
        meaning = (
            "nothing on it was looked at; if the services cannot reach it either, readings are refused with 503 and"
            " statuses expire, and what follows tells"
        )
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
