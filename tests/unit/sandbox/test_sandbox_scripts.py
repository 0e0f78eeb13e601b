"""What the sandbox accepts as scripts, settings, switches and ranges."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from backstop_sandbox import SandboxSettings, SettingError, providers_yaml
from backstop_sandbox.byte_ranges import Part, Unsatisfiable, requested_part
from backstop_sandbox.script import FileBehaviour, ScriptError, parse_script
from backstop_sandbox.web.switches import SwitchError, parse_mail_switches, parse_outage, parse_refusals


def test_a_script_needs_no_more_than_provider_and_id() -> None:
    script = parse_script({"provider": "fal", "id": "abc"})
    assert (script.kind, script.behaviour, script.outputs, script.app) == ("image", "succeeded", 1, "fal-ai/sandbox")


def test_several_outputs_are_three_unless_said_otherwise() -> None:
    base = {"provider": "kie", "id": "abc", "behaviour": "succeeded_several"}
    assert parse_script(base).outputs == 3
    assert parse_script(base | {"outputs": 7}).outputs == 7


@pytest.mark.parametrize(
    ("provider", "gone"),
    [("replicate", FileBehaviour.MISSING), ("fal", FileBehaviour.MISSING), ("kie", FileBehaviour.FORBIDDEN)],
)
def test_expired_outputs_are_gone_from_the_file_host(provider: str, gone: FileBehaviour) -> None:
    assert parse_script({"provider": provider, "id": "abc", "behaviour": "expired"}).file is gone


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        ({"id": "abc"}, "provider"),
        ({"provider": "luma", "id": "abc"}, "provider"),
        ({"provider": "fal"}, "id"),
        ({"provider": "fal", "id": "../x"}, "id"),
        ({"provider": "fal", "id": "abc", "behaviour": "odd"}, "behaviour"),
        ({"provider": "fal", "id": "abc", "outputs": 0}, "outputs"),
        ({"provider": "fal", "id": "abc", "outputs": True}, "outputs"),
        ({"provider": "fal", "id": "abc", "app": "no-owner"}, "app"),
        ({"provider": "fal", "id": "abc", "failing_status": 200}, "failing_status"),
        ({"provider": "fal", "id": "abc", "delay_seconds": -1}, "delay_seconds"),
        ({"provider": "fal", "id": "abc", "colour": "red"}, "colour"),
    ],
)
def test_a_wrong_script_is_refused_with_its_field_named(raw: dict[str, Any], field: str) -> None:
    with pytest.raises(ScriptError, match=f"^{field}:"):
        parse_script(raw)


def test_a_script_survives_its_own_json() -> None:
    script = parse_script({"provider": "fal", "id": "abc", "behaviour": "expired", "kind": "video", "outputs": 2})
    assert parse_script(script.as_json()) == script


def test_the_settings_have_defaults_and_read_the_environment() -> None:
    assert SandboxSettings.from_environment({}) == SandboxSettings()
    read = SandboxSettings.from_environment(
        {"SANDBOX_HOST": "::1", "SANDBOX_PORT": "0", "SANDBOX_SMTP_PORT": "2525", "SANDBOX_STATE_DIR": "/s"}
    )
    assert read == SandboxSettings("::1", 0, 2525, Path("/s"))


@pytest.mark.parametrize("name", ["SANDBOX_PORT", "SANDBOX_SMTP_PORT"])
@pytest.mark.parametrize("value", ["http", "-1", "65536", "8090.0"])
def test_a_wrong_port_is_refused_with_its_setting_named(name: str, value: str) -> None:
    with pytest.raises(SettingError, match=f"^{name} is '{value}': set it to a port number"):
        SandboxSettings.from_environment({name: value})


@pytest.mark.parametrize(
    ("header", "part"),
    [
        (None, None),
        ("bytes=0-9", Part(0, 10)),
        ("bytes=90-", Part(90, 100)),
        ("bytes=90-500", Part(90, 100)),
        ("bytes=-10", Part(90, 100)),
        ("bytes=-500", Part(0, 100)),
        ("bytes=100-", Unsatisfiable()),
        ("bytes=-0", Unsatisfiable()),
        ("bytes=9-1", None),
        ("bytes=0-1,5-6", None),
        ("lines=0-1", None),
        ("bytes=-", None),
    ],
)
def test_a_range_of_a_hundred_bytes(header: str | None, part: Part | Unsatisfiable | None) -> None:
    assert requested_part(header, 100) == part


def test_the_mail_switches_are_all_off_unless_named() -> None:
    switches = parse_mail_switches({})
    assert (switches.refused, switches.deferred, switches.down) == (set(), {}, False)


def test_deferred_recipients_may_be_a_list_or_have_a_number_of_times() -> None:
    assert parse_mail_switches({"deferred": ["Ada@x.test"]}).deferred == {"ada@x.test": None}
    assert parse_mail_switches({"deferred": {"ada@x.test": 2}}).deferred == {"ada@x.test": 2}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"refused": "ada"}, "refused"),
        ({"deferred": {"ada": 0}}, "deferred"),
        ({"down": "yes"}, "down"),
        ({"up": True}, "up"),
    ],
)
def test_a_wrong_mail_switch_is_refused_with_its_field_named(body: dict[str, Any], field: str) -> None:
    with pytest.raises(SwitchError, match=f"^{field}:"):
        parse_mail_switches(body)


def test_outages_and_refusals_know_their_fields() -> None:
    assert parse_outage({"status": 429, "times": 3, "retry_after_seconds": 7}).trouble.headers["Retry-After"] == "7"
    assert parse_refusals([]) == []
    with pytest.raises(SwitchError, match=r"^status:"):
        parse_outage({"status": 200})
    with pytest.raises(SwitchError, match=r"^vendor:"):
        parse_refusals({"vendor": "teams", "status": 500})


def test_the_provider_file_points_every_provider_at_the_sandbox() -> None:
    assert yaml.safe_load(providers_yaml("http://sandbox:8090/")) == {
        "providers": {
            "replicate": {"base_url": "http://sandbox:8090/replicate/v1", "limits": {"requests": None}},
            "fal": {
                "base_url": "http://sandbox:8090/fal",
                "webhook": {
                    "verify": {"kind": "fal_ed25519_jwks", "jwks": "http://sandbox:8090/fal/.well-known/jwks.json"}
                },
            },
            "kie": {"base_url": "http://sandbox:8090/kie"},
        }
    }
