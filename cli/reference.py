"""Writing the generated references under docs/reference: what the code says, so that no page can say otherwise.

`make docs` writes them; a test compares.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, Final

import httpx
import typer
from prometheus_client.metrics import MetricWrapperBase
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from cli import command_line
from cli.device_reference import devices_page
from cli.key_table import key_table
from services.aggregator.settings import Settings as AggregatorSettings
from services.api.app import Parts, create_app
from services.api.settings import ApiSettings
from services.auditor.settings import Settings as AuditorSettings
from services.carrier.settings import Settings as CarrierSettings
from services.ingest.main import api as ingest_api
from services.ingest.routes import Door
from services.ingest.senders import Senders
from services.ingest.settings import Settings as IngestSettings
from services.publisher import channels
from services.publisher.channels.channel import Live
from services.publisher.settings import Settings as PublisherSettings
from shared.contracts import subjects
from shared.contracts.audit import AuditEntry
from shared.contracts.configuration import Channel, LibrariesFile
from shared.contracts.permissions import SERVICES
from shared.contracts.posts import Delivery, LivePost, PostIntent
from shared.contracts.readings import READING, Configured, Pack, Tick
from shared.contracts.retention import rows
from shared.contracts.status import DayHistory, PublicStatus, StatusChanged
from shared.contracts.streams import BUCKETS, DURABLES, STREAMS
from shared.runtime import metrics
from shared.runtime.clock import now
from shared.runtime.health import Readiness
from shared.runtime.settings import ServiceSettings

FOLDER: Final = Path(__file__).parent.parent / "docs" / "reference"
GENERATED: Final = "<!-- Written by `make docs`; change the code instead. -->\n\n"
WIDTH: Final = 88
"""Help is wrapped the same on every terminal."""
MESSAGES: Final[tuple[type[BaseModel], ...]] = (
    Pack,
    Tick,
    Configured,
    PublicStatus,
    StatusChanged,
    DayHistory,
    PostIntent,
    Delivery,
    LivePost,
    AuditEntry,
)
CHANNELS: Final[dict[str, tuple[str, type[BaseModel]]]] = {
    "readings": (subjects.ANY_READINGS, Pack),
    "ticks": (subjects.TICKS, Tick),
    "configured": (subjects.CONFIGURED_ANY, Configured),
    "changes": (subjects.ANY_CHANGE, StatusChanged),
    "posts": (subjects.ANY_POST, PostIntent),
    "status": (subjects.key_subject(subjects.STATUS, "*"), PublicStatus),
    "history": (subjects.key_subject(subjects.HISTORY, "*.*"), DayHistory),
    "audit": (subjects.ANY_AUDIT, AuditEntry),
    "deliveries": (subjects.key_subject(subjects.DELIVERIES, "*.*.*"), Delivery),
}
"""Every channel of the bus with a body of ours: its subjects and what one message is."""


def references() -> dict[str, str]:
    """Return every generated page by its file name."""
    return {
        "libraries.schema.json": _json(_libraries_schema()),
        "readings.schema.json": _json(READING.json_schema()),
        "events.schema.json": _json(_events_schema()),
        "openapi-ingest.json": _json(asyncio.run(_openapi(_ingest()))),
        "openapi-api.json": _json(asyncio.run(_openapi(_api()))),
        "asyncapi.json": _json(_asyncapi()),
        "bus.md": GENERATED + _bus(),
        "retention.md": GENERATED + _retention(),
        "metrics.md": GENERATED + _metrics(),
        "settings.md": GENERATED + _settings(),
        "commands.md": GENERATED + _commands(),
        "channels.md": GENERATED + _channels(),
        "devices.md": GENERATED + devices_page(),
    }


def write() -> None:
    """Write the references."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in references().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        print(f"docs/reference/{name}")


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def _libraries_schema() -> dict[str, Any]:
    schema = LibrariesFile.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "libraries.toml", **schema}


def _events_schema() -> dict[str, Any]:
    _, schema = models_json_schema([(each, "serialization") for each in MESSAGES])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Messages on the bus", **schema}


def _ingest() -> Any:
    return ingest_api(Door(IngestSettings(), Senders()), Readiness())


def _api() -> Any:
    settings = ApiSettings()
    return create_app(settings, Parts.of(settings, now))


async def _openapi(app: Any) -> Any:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://placelibre") as client:
        answer = await client.get("/openapi.json")
        answer.raise_for_status()
        return answer.json()


def _asyncapi() -> dict[str, Any]:
    _, schemas = models_json_schema(
        [(each, "serialization") for each in MESSAGES], ref_template="#/components/schemas/{model}"
    )
    channels = {
        name: {
            "address": address,
            "messages": {model.__name__: {"$ref": f"#/components/messages/{model.__name__}"}},
        }
        for name, (address, model) in CHANNELS.items()
    }
    operations = {
        f"{service}-sends-{name}": {
            "action": "send",
            "channel": {"$ref": f"#/channels/{name}"},
            "summary": f"{service} publishes here",
        }
        for service, permissions in SERVICES.items()
        if service != "operator"
        for name, (address, _) in CHANNELS.items()
        if address in permissions.publish or _bucket_right(address) in permissions.publish
    }
    messages = {
        model.__name__: {
            "contentType": "application/json",
            "summary": (model.__doc__ or "").strip().splitlines()[0],
            "payload": {"$ref": f"#/components/schemas/{model.__name__}"},
        }
        for _, model in CHANNELS.values()
    }
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Placelibre on the bus", "version": "1"},
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": schemas["$defs"]},
    }


def _bucket_right(address: str) -> str:
    return f"{address.partition('.*')[0]}.>"


def _bus() -> str:
    lines = ["# The bus", "", "## Streams", "", "| stream | subjects | kept | limit | why |", "|---|---|---|---|---|"]
    for stream in STREAMS:
        kept = f"{stream.max_age.days} days" + (", until worked off" if stream.is_work_queue else "")
        listed = ", ".join(f"`{each}`" for each in stream.subjects)
        lines.append(f"| `{stream.name}` | {listed} | {kept} | {stream.max_bytes >> 20} MiB | {stream.reason} |")
    lines += ["", "A full stream refuses what comes next; nothing acknowledged is dropped for it.", ""]
    lines += ["## Buckets", "", "| bucket | kept | limit | holds |", "|---|---|---|---|"]
    for bucket in BUCKETS:
        kept = f"{bucket.max_age.days} days" if bucket.max_age else "latest value"
        lines.append(f"| `{bucket.name}` | {kept} | {bucket.max_bytes >> 20} MiB | {bucket.reason} |")
    lines += ["", "## Durable consumers", "", "| durable | acknowledged within | in hand | why |", "|---|---|---|---|"]
    for durable in DURABLES:
        wait = f"{durable.ack_wait.total_seconds():.0f} s"
        lines.append(f"| `{durable.stream}/{durable.name}` | {wait} | {durable.max_ack_pending} | {durable.reason} |")
    lines += ["", "## Who may publish what", ""]
    for service, permissions in SERVICES.items():
        lines.append(f"- **{service}**: {', '.join(f'`{each}`' for each in permissions.publish)}")
    return "\n".join(lines) + "\n"


RETENTION: Final = """\
The last column says what takes it out before its time. `placelibre retention` keeps some of it for a shorter one, down
to the fourth column. docs/privacy.md says what it means."""


def _retention() -> str:
    lines = [
        "# What is kept, and for how long",
        "",
        RETENTION,
        "",
        "| where | for what | kept | at the shortest | about people | ends with |",
        "|---|---|---|---|---|---|",
        *(f"| `{name}` | {' | '.join(rest)} |" for name, *rest in rows()),
    ]
    return "\n".join(lines) + "\n"


def _metrics() -> str:
    lines = ["# Metrics", "", "| metric | kind | labels | meaning |", "|---|---|---|---|"]
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            [described] = metric.describe()
            name = f"{described.name}_total" if described.type == "counter" else described.name
            labels = ", ".join(metric._labelnames) or "-"  # noqa: SLF001  the client keeps no public word of them
            lines.append(f"| `{name}` | {described.type} | {labels} | {described.documentation} |")
    return "\n".join(lines) + "\n"


def _settings() -> str:
    lines = ["# Settings", "", "Read once from the environment. `placelibre up` sets what it must by itself.", ""]
    lines += _settings_table("Every service", ServiceSettings, frozenset())
    known = frozenset(ServiceSettings.model_fields)
    for name, settings in (
        ("ingest", IngestSettings),
        ("aggregator", AggregatorSettings),
        ("publisher", PublisherSettings),
        ("api", ApiSettings),
        ("carrier", CarrierSettings),
        ("auditor", AuditorSettings),
    ):
        lines += _settings_table(name, settings, known)
    return "\n".join(lines)


def _settings_table(title: str, settings: type[ServiceSettings], known: frozenset[str]) -> list[str]:
    lines = [f"## {title}", "", "| variable | default | meaning |", "|---|---|---|"]
    for name, field in settings.model_fields.items():
        if name not in known:
            default = "none" if field.default in {None, ""} else f"`{field.default}`"
            lines.append(f"| `PLACELIBRE_{name.upper()}` | {default} | {field.description} |")
    return [*lines, ""]


def _channels() -> str:
    lines = [
        "# Channels",
        "",
        "A channel is a table in `libraries.toml`. These keys are common to all types:",
        "",
        *key_table(Channel),
        "",
        CREDENTIALS,
        "",
        LIVE_POSTS,
        "",
    ]
    for name, kind in sorted(channels.types().items()):
        lines += [f"## `{name}`: {kind.title}", ""]
        lines += [f"- live post: {LIVE_WORDS[kind.traits.live]}{', pinned' if kind.traits.pins else ''}"]
        lines += [f"- account: {'needed' if kind.needs_account else 'not needed'}"]
        if kind.needs_server:
            lines += [f"- server: needed, {' or '.join(f'{each}://' for each in kind.schemes)}"]
        for what, words in (
            ("credentials", kind.credentials),
            ("limits", kind.limits),
            ("a lost reply", kind.lost_reply),
        ):
            if words:
                lines += [f"- {what}: {words}"]
        lines += ["", *key_table(kind.options), ""] if kind.options.model_fields else [""]
    return "\n".join(lines)


CREDENTIALS: Final = """\
Credentials are files among the publisher's secrets, named `<type>-<account>`; with `placelibre up` that folder is
`.placelibre/secrets`. A channel without its file is off: its
posts end as blocked, `placelibre posts dead` shows them, and they can be replayed once it is there."""
LIVE_POSTS: Final = """\
A live post is the first announcement of a day; from then on it is kept true where it stands, and pinned. Further
announcements are posts of their own."""
LIVE_WORDS: Final = {
    Live.EDIT: "edited in place",
    Live.REPLACE: "replaced in one step",
    Live.RETAIN: "the channel holds the latest status itself; nothing is announced on it",
    Live.NONE: "none",
}


def _commands() -> str:
    lines = ["# Commands", ""]
    group = typer.main.get_command(command_line.app)
    with group.make_context("placelibre", [], resilient_parsing=True) as context:
        for name in command_line.COMMANDS:
            command = group.get_command(context, name)  # type: ignore[attr-defined]  # typer's group, by its class
            assert command is not None, name
            info = f"placelibre {name}"
            lines += [
                f"## {info}",
                "",
                "```",
                command.get_help(typer.Context(command, info_name=info, terminal_width=WIDTH, max_content_width=WIDTH)),
                "```",
                "",
            ]
            lines += _subcommands(info, command)
    return "\n".join(lines)


def _subcommands(info: str, command: Any) -> list[str]:
    lines: list[str] = []
    for sub in getattr(command, "commands", {}).values():
        sub_info = f"{info} {sub.name}"
        help_text = sub.get_help(typer.Context(sub, info_name=sub_info, terminal_width=WIDTH, max_content_width=WIDTH))
        lines += [f"## {sub_info}", "", "```", help_text, "```", "", *_subcommands(sub_info, sub)]
    return lines


if __name__ == "__main__":
    write()
