"""The business dashboard: traffic, how sessions end, dead ends, money, and whether the models are honest."""

from __future__ import annotations

from agents.dashboards.panels import Board, Panel, Query, Row

_JOB = 'job=~"$job"'
_RATE = "[$__rate_interval]"
_CLOSED = "culdesac_closed_session_exits_total"
_COUNTED = f'{_JOB}, reason!~"bot|measurement_gap"'

_TRAFFIC = Row(
    "Traffic",
    (
        Panel(
            "Page views a second",
            "What the shop's visitors look at now. It follows the hours of the day; a sudden step to "
            "nearly nothing is a tag that broke or a shop that is down.",
            (Query(f'sum(rate(culdesac_events_total{{{_JOB}, topic="page-views"}}{_RATE}))', "page views"),),
            unit="cps",
        ),
        Panel(
            "What else comes in",
            "Records a second by topic. Each should rise and fall as page views do; one that goes to zero"
            " alone has lost its source.",
            (
                Query(
                    f'sum by (topic) (rate(culdesac_events_total{{{_JOB}, topic!="page-views"}}{_RATE}))',
                    "{{topic}}",
                ),
            ),
            unit="cps",
        ),
        Panel(
            "Visitors held",
            "Visitors with an open session, or with one that what comes late may still change (24 hours, "
            "unless set otherwise): about a day's visitors.",
            (Query(f"sum(culdesac_open_sessions{{{_JOB}}})", "visitors"),),
        ),
    ),
)
_SESSIONS = Row(
    "How sessions end",
    (
        Panel(
            "Sessions closed, by outcome",
            "Sessions a second that ended with a purchase, with a registration, or with neither. They "
            "close half an hour after their last click, so this runs behind traffic by as much.",
            (
                Query(
                    f"sum by (outcome) (rate(culdesac_closed_sessions_total{{{_JOB}}}{_RATE}))", "{{outcome}}"
                ),
            ),
            kind="stacked",
            unit="cps",
        ),
        Panel(
            "Why sessions ended",
            "The same sessions by exit reason. `served` and `handed_off` are visits that got what they "
            "came for; `dead_end` is what is left when no rule explains why somebody went.",
            (Query(f"sum by (reason) (rate({_CLOSED}{{{_JOB}}}{_RATE}))", "{{reason}}"),),
            kind="stacked",
            unit="cps",
        ),
        Panel(
            "Share that purchased, share that gave up",
            "Of the sessions of people that closed within the hour: how many purchased, how many left at "
            "a dead end. Compare with yesterday, not with another shop.",
            (
                Query(
                    f'sum(increase({_CLOSED}{{{_JOB}, reason="purchased"}}[1h]))'
                    f" / sum(increase({_CLOSED}{{{_COUNTED}}}[1h]))",
                    "purchased",
                ),
                Query(
                    f'sum(increase({_CLOSED}{{{_JOB}, reason="dead_end"}}[1h]))'
                    f" / sum(increase({_CLOSED}{{{_COUNTED}}}[1h]))",
                    "dead end",
                ),
            ),
            unit="percentunit",
        ),
        Panel(
            "What explains the exits",
            "Sessions a second by the kind of rule that said why they ended. What `learned` says rests on "
            "how long pages are read; `otherwise` is what no rule explains: the dead ends.",
            (
                Query(
                    f"sum by (rule) (rate(culdesac_closed_session_exit_rules_total{{{_JOB}}}{_RATE}))",
                    "{{rule}}",
                ),
            ),
            kind="stacked",
            unit="cps",
            width=12,
        ),
        Panel(
            "Dead ends that were none",
            "Customers who gave up, and bought within the week on some channel after all (`revised`), and"
            " such that were taken back (`retracted`), within the hour.",
            (
                Query(
                    f"sum by (status) (increase(culdesac_session_revisions_total{{{_JOB}}}[1h]))",
                    "{{status}}",
                ),
            ),
            width=12,
        ),
    ),
)
_DEAD_ENDS = Row(
    "Dead ends",
    (
        Panel(
            "Alerts open",
            "Pages, templates or whole sites that lose more visitors now than their own past says. 0 is "
            "the rule; `culdesac alerts` shows which they are.",
            (Query(f"sum(culdesac_open_alerts{{{_JOB}}})", "open"),),
            kind="stat",
            unit="none",
            width=4,
        ),
        Panel(
            "Alerts open, by cause",
            "What each open alert says is the matter. `page_broke` and `checkout_outage` are for the web "
            "team; `tag_broke`, `orders_silent` and `orders_late` are faults of the data, not of the "
            "shop.",
            (Query(f"sum by (cause) (culdesac_open_alerts_by_cause{{{_JOB}}}) > 0", "{{cause}}"),),
            kind="stacked",
            unit="none",
            width=10,
            empty_because="no alert is open",
        ),
        Panel(
            "What became of alerts",
            "Revisions of alerts within the hour, by status. Many `withdrawn` or `dismissed` beside few "
            "`confirmed` mean that the alerts are not worth their while: lower `alerts_per_week`.",
            (
                Query(
                    f"sum by (status) (increase(culdesac_dead_end_alerts_total{{{_JOB}}}[1h]))", "{{status}}"
                ),
            ),
            width=10,
        ),
        Panel(
            "Decisions and deploys",
            "What people said of alerts, and deploys that were noted, within the hour. An alert that "
            "opens just after a deploy is a reason to look at that deploy first.",
            (
                Query(
                    f"sum by (action) (increase(culdesac_alert_decisions_total{{{_JOB}}}[1h]))", "{{action}}"
                ),
                Query(f"sum(increase(culdesac_deploys_total{{{_JOB}}}[1h]))", "deploys"),
            ),
            width=24,
        ),
    ),
)
_MONEY = Row(
    "Money",
    (
        Panel(
            "Money at stake now",
            "What the visitors lost at open alerts would have ordered, by currency, had they gone on as "
            "usual. An estimate from the pages' own past; it grows as long as an alert is open.",
            (Query(f"sum by (currency) (culdesac_money_at_stake{{{_JOB}}})", "{{currency}}"),),
            kind="stat",
            empty_because="no alert was open yet, or the shop's orders name no currency",
        ),
        Panel(
            "Money at stake, by cause",
            "The same over time, by what is the matter. A band that grows is lost while you look at it; "
            "it ends when its alert does.",
            (
                Query(
                    f"sum by (cause, currency) (culdesac_money_at_stake{{{_JOB}}})",
                    "{{cause}} ({{currency}})",
                ),
            ),
            kind="stacked",
            width=16,
            empty_because="no alert was open yet, or the shop's orders name no currency",
        ),
    ),
)
_MODELS = Row(
    "Are the models honest?",
    (
        Panel(
            "Log-loss beside the baseline",
            "How wrong the probabilities are, each predicted before its answer was known; lower is "
            "better. A model above its baseline knows less than the plain share does.",
            (
                Query(f"max by (model) (culdesac_model_log_loss_nats{{{_JOB}}})", "{{model}}"),
                Query(
                    f"max by (model) (culdesac_model_baseline_log_loss_nats{{{_JOB}}})", "{{model}}, baseline"
                ),
            ),
            width=12,
        ),
        Panel(
            "Precision and recall beside the baseline",
            "Area under the precision-recall curve; higher is better. The distance to the baseline is "
            "what the model is good for.",
            (
                Query(f"max by (model) (culdesac_model_auprc_ratio{{{_JOB}}})", "{{model}}"),
                Query(
                    f"max by (model) (culdesac_model_baseline_auprc_ratio{{{_JOB}}})", "{{model}}, baseline"
                ),
            ),
            unit="percentunit",
            width=12,
        ),
        Panel(
            "Calibration error",
            "How far the probabilities are from how often it happens, on average. At 2 % a `p_purchase` "
            "of 10 % stands for 8 to 12 %; above 5 % do not multiply it with money.",
            (Query(f"max by (model) (culdesac_model_calibration_error_ratio{{{_JOB}}})", "{{model}}"),),
            unit="percentunit",
            width=12,
        ),
        Panel(
            "Examples learned from",
            "How many sessions or views each model has learned from. Below some thousands the three "
            "pictures beside it say little; one that stands still is not fed any more.",
            (Query(f"max by (model) (culdesac_model_examples{{{_JOB}}})", "{{model}}"),),
            width=12,
        ),
    ),
)

BUSINESS = Board(
    "culdesac-business",
    "Culdesac: business",
    "Traffic, how sessions end, dead ends and what they cost, and how far the models are to be believed.",
    (_TRAFFIC, _SESSIONS, _DEAD_ENDS, _MONEY, _MODELS),
)
