"""Two functions more than JMESPath, no run-time errors, the guard against missing fields, and address templates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop_common.providers.expressions import ExpressionError, compile_expression, unguarded_inequality
from backstop_common.providers.templates import TemplateError, compile_template

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


def test_urls_collects_addresses_at_any_depth_in_order_and_once() -> None:
    document = {
        "o": [{"b": "https://h/2"}, "https://h/1", ["data:image/png;base64,AA=="], "text", 7, {"c": "https://h/1"}]
    }
    assert compile_expression("urls(o)")(document) == ["https://h/2", "https://h/1", "data:image/png;base64,AA=="]


def test_urls_survives_a_very_deep_document() -> None:
    deep: object = "https://h/deep"
    for _ in range(500):
        deep = [deep]
    assert compile_expression("urls(@)")(deep) == []


@pytest.mark.parametrize("broken", ["{", "", "nope", "[" * 100_000])
def test_from_json_of_broken_text_is_null(broken: str) -> None:
    assert compile_expression("from_json(x)")({"x": broken}) is None


@given(JSON)
def test_no_document_makes_an_expression_raise(document: object) -> None:
    for text in (
        "join('; ', detail[].msg)",
        "a >= b",
        "urls(@)",
        "from_json(@).x",
        "max_by(@, &x)",
        "sum(@)",
        "sort(@)",
    ):
        compile_expression(text)(document)


@pytest.mark.parametrize("text", ["a ==", "a[", "", "foo(a)", "join('x')", "urls()", "a == #"])
def test_a_wrong_expression_is_refused_when_it_is_compiled(text: str) -> None:
    with pytest.raises(ExpressionError):
        compile_expression(text)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("code != `200`", "code"),
        ("status == 'x' && data.code != `0`", "data.code"),
        ("code != `200` && code", "code"),
        ("!(code == `200`)", "code"),
        ("code || code != `1`", "code"),
        ("code != 'null'", "code"),
    ],
)
def test_an_inequality_that_a_missing_field_satisfies_is_found(text: str, field: str) -> None:
    assert unguarded_inequality(compile_expression(text)) == field


@pytest.mark.parametrize(
    "text",
    [
        "code && code != `200`",
        "base_resp.code && base_resp.code != `0` && status == `null`",
        "type(code) == 'number' && code != `0`",
        "code != `null` && code != `0`",
        "code > `5` && code != `7`",
        "kind == 'x' && kind != 'y'",
        "status == 'COMPLETED' && (error != `null` || error_type != `null`)",
        "!done",
    ],
)
def test_a_guarded_inequality_is_accepted(text: str) -> None:
    assert unguarded_inequality(compile_expression(text)) is None


@given(st.text(min_size=1, max_size=60))
def test_an_id_never_leaves_its_place_in_the_address(value: str) -> None:
    template = compile_template("{base_url}/predictions/{id}")
    try:
        address = template.fill("https://h", {"id": value})
    except TemplateError:
        return
    prefix, _, rest = address.rpartition("/")
    assert prefix == "https://h/predictions"
    assert not set(rest) & set("/?#\\ \n\r")
    assert rest not in {"", ".", ".."}


@pytest.mark.parametrize("value", ["../../v1/organization", "a//b", "/a", "a/", "a/./b", "..", ""])
def test_a_path_with_empty_or_dotted_segments_is_refused(value: str) -> None:
    with pytest.raises(TemplateError):
        compile_template("{base_url}/{app:path}").fill("https://h", {"app": value})


def test_a_hostile_id_is_encoded_as_one_segment() -> None:
    template = compile_template("{base_url}/predictions/{id}")
    assert template.fill("https://h", {"id": "../../v1/x?y#z"}) == "https://h/predictions/..%2F..%2Fv1%2Fx%3Fy%23z"


@pytest.mark.parametrize("text", ["{base_url}/{", "jobs/{id}", "{polling_url}/x", "{base_url}/{a b}"])
def test_a_malformed_template_is_refused(text: str) -> None:
    with pytest.raises(TemplateError):
        compile_template(text)
