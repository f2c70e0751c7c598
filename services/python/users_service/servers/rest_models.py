"""What the OpenAPI document says of bodies and answers; `json_wire` reads and writes them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from users_service.errors import Code  # noqa: TC001 - read when the model is made


class UserFields(BaseModel):
    """What a client says of a user. White space at the ends is removed."""

    name: str = Field(min_length=1, examples=["Ada Lovelace"], description="1 to 100 characters")
    email: str = Field(min_length=1, examples=["ada@example.org"], description="unique, at most 254 characters")


class User(BaseModel):
    """A user."""

    id: str = Field(description="a UUID of version 4")
    name: str
    email: str
    created_at: str = Field(json_schema_extra={"format": "date-time"})


class UserList(BaseModel):
    """Users, in the order of their creation."""

    users: list[User]


class Item(BaseModel):
    """An item of the catalogue."""

    id: int = Field(ge=0, le=0xFFFF_FFFF)
    name: str


class UploadSummary(BaseModel):
    """What came."""

    count: int
    sum: int


class Health(BaseModel):
    """That the server serves."""

    status: Literal["ok"]


class FailureDetail(BaseModel):
    """Why a call did not succeed."""

    code: Literal[*(code.name for code in Code if code is not Code.OK)]  # type: ignore[valid-type]
    message: str


class Failure(BaseModel):
    """The answer of every call that did not succeed."""

    error: FailureDetail


def failures(*codes: Code) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route that fails with these codes, among others."""
    named: dict[int | str, dict[str, Any]] = {
        code.http_status: {"model": Failure, "description": code.name} for code in codes
    }
    return {**named, "default": {"model": Failure, "description": "any other failure"}}


def body(media_type: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Return the `openapi_extra` of a route that reads its body itself."""
    return {"requestBody": {"required": True, "content": {media_type: {"schema": schema}}}}
