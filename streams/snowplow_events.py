"""Snowplow's enriched events as tab-separated text: 131 fields in a fixed order, one event a line.

The order is that of the canonical event model, as Snowplow's analytics SDKs list it.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import msgspec

from streams.adapters import Adapted, Adapter, RawError
from streams.foreign_values import amount, filled, part, text, word

_FIELDS = (
    "app_id platform etl_tstamp collector_tstamp dvce_created_tstamp event event_id txn_id name_tracker v_tracker"
    " v_collector v_etl user_id user_ipaddress user_fingerprint domain_userid domain_sessionidx network_userid"
    " geo_country geo_region geo_city geo_zipcode geo_latitude geo_longitude geo_region_name ip_isp"
    " ip_organization ip_domain ip_netspeed page_url page_title page_referrer page_urlscheme page_urlhost"
    " page_urlport page_urlpath page_urlquery page_urlfragment refr_urlscheme refr_urlhost refr_urlport"
    " refr_urlpath refr_urlquery refr_urlfragment refr_medium refr_source refr_term mkt_medium mkt_source"
    " mkt_term mkt_content mkt_campaign contexts se_category se_action se_label se_property se_value"
    " unstruct_event tr_orderid tr_affiliation tr_total tr_tax tr_shipping tr_city tr_state tr_country"
    " ti_orderid ti_sku ti_name ti_category ti_price ti_quantity pp_xoffset_min pp_xoffset_max pp_yoffset_min"
    " pp_yoffset_max useragent br_name br_family br_version br_type br_renderengine br_lang br_features_pdf"
    " br_features_flash br_features_java br_features_director br_features_quicktime br_features_realplayer"
    " br_features_windowsmedia br_features_gears br_features_silverlight br_cookies br_colordepth br_viewwidth"
    " br_viewheight os_name os_family os_manufacturer os_timezone dvce_type dvce_ismobile dvce_screenwidth"
    " dvce_screenheight doc_charset doc_width doc_height tr_currency tr_total_base tr_tax_base"
    " tr_shipping_base ti_currency ti_price_base base_currency geo_timezone mkt_clickid mkt_network etl_tags"
    " dvce_sent_tstamp refr_domain_userid refr_dvce_tstamp derived_contexts domain_sessionid derived_tstamp"
    " event_vendor event_name event_format event_version event_fingerprint true_tstamp"
)
FIELDS = _FIELDS.split()
"""Names of the fields, in their order."""

NAMES = {
    "site_search": "search",
    "add_to_basket": "add_to_cart",
    "remove_from_basket": "remove_from_cart",
    "checkout_step": "checkout_started",
    "application_error": "error",
}
_SCHEMA = re.compile(r"iglu:[^/]+/([A-Za-z0-9_-]+)/jsonschema/[0-9-]+")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d{1,9})?")


class SnowplowEvents(Adapter):
    r"""Reads one enriched event.

    Examples
    --------
    >>> event = {"event": "page_view", "event_id": "e", "domain_userid": "v", "page_url": "https://shop.example/",
    ...          "derived_tstamp": "2013-11-26 00:03:57.886"}
    >>> line = "\t".join(event.get(field, "") for field in FIELDS).encode()
    >>> [(topic, view)] = SnowplowEvents().read(line, "")
    >>> topic, view["occurred_at"]
    ('page-views', '2013-11-26T00:03:57.886Z')
    """

    name = "snowplow"
    cannot_know = (
        "a page ping says that somebody is there, not for how long: nothing is learned of reading",
        "articles of an order come in events of their own (transaction_item) and are passed over",
        "orders on other channels and cancellations are not in it, unless your own events say so",
    )

    def read(self, raw: bytes, mark: str) -> Adapted:
        """Read one line; see `Adapter.read`."""
        try:
            values = raw.decode().rstrip("\r\n").split("\t")
        except UnicodeDecodeError as error:
            raise RawError("malformed_line", f"not UTF-8 (byte {error.start})") from None
        if len(values) != len(FIELDS):
            raise RawError("malformed_line", f"{len(values)} fields instead of {len(FIELDS)}")
        row = dict(zip(FIELDS, values, strict=True))
        kind = row["event"]
        about: dict[str, Any] = filled(
            event_id=row["event_id"],
            visitor_id=row["domain_userid"] or row["network_userid"],
            customer_id=row["user_id"],
            occurred_at=_time(row["derived_tstamp"] or row["collector_tstamp"]),
        )
        seen = filled(url=row["page_url"], referrer=row["page_referrer"], user_agent=row["useragent"])
        if kind == "page_view":
            return [("page-views", about | seen | filled(title=row["page_title"], ip=row["user_ipaddress"]))]
        if kind == "page_ping":
            return [("interactions", about | seen | {"name": "engagement"})]
        if kind == "struct":
            name = word(row["se_action"])
            return [("interactions", about | seen | filled(name=NAMES.get(name, name)))]
        if kind == "transaction":
            return [("orders", about | _order(row["tr_orderid"], row["tr_currency"], row["tr_total"]))]
        if kind == "unstruct":
            return self._own(row, about, seen)
        if kind not in ("transaction_item", "ad_impression"):
            raise RawError("schema_violation", "`event` is none of Snowplow's")
        self.skipped[kind] += 1
        return []

    def _own(self, row: dict[str, str], about: dict[str, Any], seen: dict[str, Any]) -> Adapted:
        """Read a self-describing event by its schema's name."""
        try:
            event = part({"event": msgspec.json.decode(row["unstruct_event"])}, "event", "data")
        except (msgspec.DecodeError, RecursionError):
            raise RawError("malformed_line", "`unstruct_event` is no JSON") from None
        schema = _SCHEMA.fullmatch(text(event.get("schema")) or "")
        if schema is None:
            raise RawError("malformed_line", "`unstruct_event` names no schema")
        name, data = word(schema[1]), part(event, "data")
        if name == "snowplow_ecommerce_action":
            name = word(text(data.get("type")) or "")
            if name == "transaction":
                return [("orders", about | _commerce_order(row["contexts"]))]
        if name == "link_click" and _leaves(text(data.get("targetUrl")), row["page_urlhost"]):
            name = "outbound_click"
        sku = text(data.get("sku"))
        return [
            ("interactions", about | seen | filled(name=NAMES.get(name, name), properties=filled(sku=sku)))
        ]


def _time(value: str) -> str:
    if _TIME.fullmatch(value) is None:
        raise RawError("schema_violation", "`derived_tstamp` and `collector_tstamp` are no times")
    return value.replace(" ", "T") + "Z"


def _order(order_id: str | None, currency: str | None, total: object) -> dict[str, Any]:
    return filled(order_id=order_id, status="placed", channel="web", currency=currency, total=amount(total))


def _commerce_order(contexts: str) -> dict[str, Any]:
    """Order of the e-commerce plugin: it stands in a context beside the event."""
    try:
        entities = part({"all": msgspec.json.decode(contexts or "{}")}, "all").get("data")
    except (msgspec.DecodeError, RecursionError):
        raise RawError("malformed_line", "`contexts` is no JSON") from None
    for entity in entities if isinstance(entities, list) else []:
        if isinstance(entity, dict) and "/transaction/" in (text(entity.get("schema")) or ""):
            data = part(entity, "data")
            return _order(text(data.get("transaction_id")), text(data.get("currency")), data.get("revenue"))
    return _order(None, None, None)


def _leaves(target: str | None, host: str) -> bool:
    try:
        found = urlsplit(target or "").hostname
    except ValueError:
        return False
    return found is not None and found != host.lower()
