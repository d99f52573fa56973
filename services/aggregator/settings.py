"""What the aggregator reads from its environment."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from shared.contracts.subjects import PARTITIONS
from shared.runtime.settings import Port, ServiceSettings


class Settings(ServiceSettings):
    """Settings of the aggregator. Each may be set as PLACELIBRE_<NAME>, in capitals."""

    port: Port = Field(default=8002, description="Where health and metrics are served.")
    ordinal: Annotated[int, Field(ge=0, lt=PARTITIONS)] = Field(
        default=0, description="Which of the replicas this is, counted from 0: the StatefulSet's ordinal."
    )
    replicas: Annotated[int, Field(ge=1, le=PARTITIONS)] = Field(
        default=1, description="How many aggregators share the partitions; each library has one writer."
    )
    tick_every_s: Annotated[float, Field(ge=0.1, le=60)] = Field(
        default=5.0, description="How often time itself is written to the log; bounds how late a closing is noticed."
    )
    checkpoint_every_s: Annotated[float, Field(ge=0.1, le=600)] = Field(
        default=10.0, description="How often state is stored; bounds how much of the log is read again after a crash."
    )

    @model_validator(mode="after")
    def _is_one_of_them(self) -> Self:
        """Refuse an ordinal beyond the replicas: it would own what another one owns already."""
        if self.ordinal >= self.replicas:
            raise ValueError(
                f"ordinal {self.ordinal} is beyond the {self.replicas} replicas, counted from 0:"
                " PLACELIBRE_REPLICAS has to be the number of aggregators there are"
            )
        return self

    @property
    def partitions(self) -> tuple[int, ...]:
        """The partitions this replica owns; disjoint over the ordinals, together all of them."""
        return tuple(range(self.ordinal, PARTITIONS, self.replicas))
