"""What the tools answer, as pydantic models: their schemas are what a client of the tools sees.

Pure look-ups in the reference data; every answer carries a request identifier of its own, so that whoever used it can
name the very call. Nothing here knows MCP or HTTP.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence

from pydantic import BaseModel, Field

from aauthkit.demo.data.reference import Reference


class UnknownName(ValueError):
    """A product or department that does not exist; the text names those that do."""


class Answer(BaseModel):
    """What every answer has: the identifier of this call, also found in the tools server's log."""

    request_id: str = Field(default_factory=lambda: str(uuid.uuid4()))


class InventoryItem(BaseModel):
    product: str
    on_hand: int = Field(description="Units on the shelf")
    monthly_use: int = Field(description="Units that leave the shelf in a month")
    floor: int = Field(description="Units the policy wants on the shelf at least; 0 for none")


class Inventory(Answer):
    items: list[InventoryItem]


class DepartmentPlan(BaseModel):
    name: str
    headcount: int
    hires_in_six_months: int
    share_percent: dict[str, int] = Field(description="Percentage of the department's people who get each product")


class HeadcountPlan(Answer):
    departments: list[DepartmentPlan]
    refresh: dict[str, int] = Field(description="Units of each product that are due for replacement")


class PricePoint(BaseModel):
    month: str = Field(description="YYYY-MM")
    unit_price: int


class ProductPrice(BaseModel):
    product: str
    list_price: int = Field(description="US dollars, what the company pays today")
    history: list[PricePoint]


class Prices(Answer):
    prices: list[ProductPrice]


class LeadTime(BaseModel):
    product: str
    supplier: str
    service: str = Field(description="express, standard or bulk")
    lead_days: int = Field(description="Days from the order to the door")
    available: int


class LeadTimes(Answer):
    lead_times: list[LeadTime]


def inventory(reference: Reference, products: Sequence[str] | None) -> Inventory:
    """Stock of the named products, or of all."""
    floors = reference.policy.floors
    lines = [reference.stock[name] for name in _chosen("product", products, reference.products)]
    return Inventory(
        items=[
            InventoryItem(
                product=line.product,
                on_hand=line.on_hand,
                monthly_use=line.monthly_use,
                floor=floors.get(line.product, 0),
            )
            for line in lines
        ]
    )


def headcount_plan(reference: Reference, departments: Sequence[str] | None) -> HeadcountPlan:
    """Planned hiring of the named departments, or of all, and what is due for replacement in the whole company."""
    known = {department.name: department for department in reference.departments}
    chosen = [known[name] for name in _chosen("department", departments, known)]
    return HeadcountPlan(
        departments=[
            DepartmentPlan(
                name=department.name,
                headcount=department.headcount,
                hires_in_six_months=department.hires_in_six_months,
                share_percent=dict(department.share_percent),
            )
            for department in chosen
        ],
        refresh=dict(reference.refresh),
    )


def prices(reference: Reference, products: Sequence[str] | None) -> Prices:
    """Today's price of the named products, or of all, with the prices of past months."""
    names = _chosen("product", products, reference.products)
    return Prices(
        prices=[
            ProductPrice(
                product=name,
                list_price=reference.products[name].list_price,
                history=[
                    PricePoint(month=point.month, unit_price=point.unit_price)
                    for point in reference.prices
                    if point.product == name
                ],
            )
            for name in names
        ]
    )


def lead_times(reference: Reference, products: Sequence[str] | None) -> LeadTimes:
    """How long each supplier takes for the named products, or for all."""
    names = _chosen("product", products, reference.products)
    return LeadTimes(
        lead_times=[
            LeadTime(
                product=offer.product,
                supplier=offer.supplier,
                service=offer.service,
                lead_days=offer.lead_days,
                available=offer.available,
            )
            for offer in reference.offers
            if offer.product in names
        ]
    )


def _chosen(kind: str, wanted: Sequence[str] | None, known: Iterable[str]) -> list[str]:
    names = list(known)
    unknown = [name for name in wanted or () if name not in names]
    if unknown:
        raise UnknownName(f"No {kind} is called {unknown[0][:60]!r}; there are {', '.join(names)}.")
    return names if wanted is None else list(dict.fromkeys(wanted))
