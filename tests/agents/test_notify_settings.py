"""Receivers and routes: what can't be used is one line that says what to write."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agents.notice_receivers import Mailbox, Webhook
from agents.notify_settings import load_notify_settings
from agents.settings import SettingsError

HOOK = '[[receiver]]\nname = "team"\nkind = "webhook"\nurl = "https://team.example/hook"\n'
ROUTE = '[[route]]\nreceiver = "team"\n'
MAIL = (
    '[[receiver]]\nname = "team"\nkind = "email"\nto = ["a@b.example"]\nfrom = "c@d.example"\nhost = "mail"\n'
)


def load(tmp_path: Path, text: str) -> object:
    file = tmp_path / "notify.toml"
    file.write_text(text)
    (tmp_path / "short").write_text("short\n")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "not64").write_text("whsec_...\n")
    return load_notify_settings(file)


def test_a_file_of_all_kinds(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("https://hooks.example/T0/B0\n")
    (tmp_path / "key").write_text("whsec_" + "QUFB" * 8)
    (tmp_path / "password").write_text("hush\n")
    file = tmp_path / "notify.toml"
    file.write_text(f"""
board = "https://board.example"
give_up = "2h"
{HOOK}secret_file = "{tmp_path}/key"
[[receiver]]
name = "chat"
kind = "slack"
url_file = "{tmp_path}/url"
{MAIL.replace('"team"', '"mail"')}username = "u"
password_file = "{tmp_path}/password"
{ROUTE}
[[route]]
name = "nights"
receiver = "mail"
sites = ["shop-*"]
statuses = ["opened"]
least_money = "250.50"
quiet = "22:00-07:00"
zone = "Europe/Berlin"
""")
    found = load_notify_settings(file)
    team, chat, mail = found.receivers["team"], found.receivers["chat"], found.receivers["mail"]
    assert isinstance(team, Webhook)
    assert isinstance(chat, Webhook)
    assert isinstance(mail, Mailbox)
    assert (team.secret, chat.url, mail.password) == (b"AAA" * 8, "https://hooks.example/T0/B0", "hush")
    assert team.board == "https://board.example"
    assert [route.name for route in found.routes] == ["team", "nights"]
    assert found.routes[1].quiet is not None
    assert found.give_up_s == 7_200


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[[route", "is not TOML"),
        (HOOK, "names no [[route]]"),
        (HOOK + HOOK + ROUTE, "receiver 'team': stands there twice"),
        (HOOK + ROUTE + ROUTE, "route 'team': stands there twice"),
        (HOOK + '[[route]]\nreceiver = "chat"\n', "there is no receiver 'chat'; there are: team"),
        (HOOK.replace("https", "ftp") + ROUTE, "has to begin with https://"),
        (HOOK.replace('url = "https://team.example/hook"', "") + ROUTE, "name one of url and url_file"),
        (HOOK + 'secret_file = "{}/short"\n' + ROUTE, "the secret is too short"),
        (HOOK + 'secret_file = "{}/empty"\n' + ROUTE, "is empty"),
        (HOOK + 'secret_file = "{}/not64"\n' + ROUTE, "has to be base64"),
        (HOOK + 'secret_file = "{}/none"\n' + ROUTE, "can't be read (No such file"),
        (
            HOOK.replace('"webhook"', '"slack"') + 'secret_file = "{}/short"\n' + ROUTE,
            "only a webhook is signed",
        ),
        (HOOK.replace('"webhook"', '"pigeon"') + ROUTE, "pigeon"),
        (HOOK + "colour = 1\n" + ROUTE, "unknown field `colour`"),
        (HOOK + ROUTE + 'quiet = "22-7"\n', "are no quiet hours"),
        (HOOK + ROUTE + 'quiet = "22:00-07:00"\nzone = "Mars"\n', "there is no zone 'Mars'"),
        (HOOK + ROUTE + 'least_money = "much"\n', "write an amount in quotes"),
        (HOOK + ROUTE + 'name = "a b"\n', "it names a consumer group"),
        ('give_up = "24"\n' + HOOK + ROUTE, "give_up: '24' is no duration"),
        (MAIL.replace("a@b.example", "a") + ROUTE, "'a' is no address"),
        (MAIL.replace("a@b.example", "a@b\\r\\nBcc: x@y") + ROUTE, "is no address"),
        (MAIL.replace('host = "mail"', "") + ROUTE, "needs to, from and host"),
        (MAIL + 'username = "u"\n' + ROUTE, "username and password_file go together"),
        (
            MAIL + 'username = "u"\npassword_file = "{}/short"\nsecurity = "none"\n' + ROUTE,
            "a password would travel in the clear",
        ),
    ],
)
def test_what_can_not_be_used_is_one_line(tmp_path: Path, text: str, line: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load(tmp_path, text.replace("{}", str(tmp_path)))
    said = str(raised.value)
    assert line in said
    assert said.startswith(str(tmp_path))
    assert "short\n" not in said


def test_the_file_to_start_from_can_be_used_also_with_all_that_it_comments_out(tmp_path: Path) -> None:
    file = Path(__file__).parents[2] / "deploy" / "notify.toml"
    assert [route.name for route in load_notify_settings(file).routes] == ["hook"]
    whole = re.sub(r"^# (?=\[\[|board|[a-z_]+ = )", "", file.read_text(), flags=re.MULTILINE)
    (tmp_path / "any").write_text("https://any.example/as/long/as/a/secret")
    whole = re.sub(r"/run/secrets/[a-z-]+", str(tmp_path / "any"), whole)
    (tmp_path / "notify.toml").write_text(whole)
    found = load_notify_settings(tmp_path / "notify.toml")
    assert list(found.receivers) == ["hook", "chat", "mail", "on-call"]
    assert [route.name for route in found.routes] == ["hook", "money"]
