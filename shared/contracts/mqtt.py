"""The streams that nats-server keeps for its MQTT listener, as we want them: in memory, short-lived and small.

It makes them with the first client that connects if they are not there: on the disk and without a limit. A device's
body, which may hold a picture, would be in them whenever it is published as retained or with QoS 2. So the provisioner
makes them before any device is let in. Nobody subscribes by MQTT here, so nothing in them is ever read by anybody.
The names and subjects are the server's own: server/mqtt.go of nats-server 2.15.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class MqttStreamSpec:
    """A stream of the MQTT listener; no age, 0, is no limit of its own.

    Where `is_refusing`, a full one refuses what comes; others drop the oldest.
    """

    name: str
    subject: str
    max_age: timedelta
    max_bytes: int
    reason: str
    is_by_interest: bool = False
    is_one_per_subject: bool = False
    is_refusing: bool = False


MQTT_STREAMS: Final = (
    MqttStreamSpec(
        "$MQTT_sess",
        "$MQTT.sess.>",
        timedelta(0),  # one that is forgotten while its device is connected costs it one attempt to come back
        8 * MIB,
        "sessions of devices: their client ids, no bodies; some forty thousand",
        is_one_per_subject=True,
    ),
    MqttStreamSpec(
        "$MQTT_msgs",
        "$MQTT.msgs.>",
        timedelta(minutes=1),
        16 * MIB,
        "for subscribers by MQTT, of which there are none: nothing stays here",
        is_by_interest=True,
    ),
    MqttStreamSpec(
        "$MQTT_qos2in",
        "$MQTT.qos2.>",
        timedelta(minutes=2),
        24 * MIB,
        "bodies with QoS 2 until the device releases them; one that does not come back in time sends again",
        is_one_per_subject=True,
        is_refusing=True,
    ),
    MqttStreamSpec(
        "$MQTT_out",
        "$MQTT.out.>",
        timedelta(minutes=2),
        1 * MIB,
        "receipts of subscribers by MQTT, of which there are none",
        is_by_interest=True,
    ),
    MqttStreamSpec(
        "$MQTT_rmsgs",
        "$MQTT.rmsgs.>",
        timedelta(seconds=1),
        16 * MIB,
        "retained messages: nobody subscribes, so they go at once",
        is_one_per_subject=True,
    ),
)
