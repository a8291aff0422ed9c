"""Search engines, social networks and mail services that send shops visitors.

A small table by hand of what Google's list of "source categories" (linked from "[GA4] Default channel group",
Google Analytics Help, answer 9756891) holds by the hundred. Its video sites count as social networks.
"""

#: Names under any suffix (``google`` also for google.de), or whole domains where the name says too little.
SEARCH_ENGINES = frozenset(
    {
        "google",
        "bing",
        "yahoo",
        "duckduckgo",
        "baidu",
        "yandex",
        "ya.ru",
        "ecosia",
        "startpage",
        "qwant",
        "naver",
    }
    | {
        "seznam",
        "sogou",
        "so.com",
        "daum",
        "ask.com",
        "aol",
        "swisscows",
        "mojeek",
        "kagi",
        "presearch",
        "dogpile",
    }
    | {
        "lycos",
        "rambler",
        "search.brave.com",
        "search.com",
        "metager",
        "excite",
        "onet",
        "coccoc",
        "babylon",
        "avg",
    }
)
SOCIAL_NETWORKS = frozenset(
    {
        "facebook",
        "fb",
        "fb.com",
        "fb.me",
        "instagram",
        "ig",
        "twitter",
        "x.com",
        "t.co",
        "linkedin",
        "lnkd.in",
    }
    | {
        "pinterest",
        "pin.it",
        "reddit",
        "redd.it",
        "tiktok",
        "snapchat",
        "youtube",
        "youtu.be",
        "vimeo",
        "twitch",
    }
    | {
        "threads",
        "tumblr",
        "quora",
        "vk",
        "ok.ru",
        "weibo",
        "whatsapp",
        "wa.me",
        "messenger",
        "telegram",
        "t.me",
    }
    | {
        "discord",
        "mastodon",
        "bsky",
        "xing",
        "line.me",
        "nextdoor",
        "dailymotion",
        "flickr",
        "meetup",
        "stumbleupon",
    }
    | {"livejournal", "disqus", "meta"}
)
#: Hosts that mean something else than their domain does.
HOSTS = {
    "mail.google.com": ("email", "gmail"),
    "com.google.android.gm": ("email", "gmail"),
    "mail.yahoo.com": ("email", "yahoo"),
    "outlook.live.com": ("email", "outlook"),
    "outlook.office.com": ("email", "outlook"),
    "outlook.office365.com": ("email", "outlook"),
    "mail.aol.com": ("email", "aol"),
    "mail.yandex.ru": ("email", "yandex"),
    "mail.qq.com": ("email", "qq"),
    "mail.proton.me": ("email", "proton"),
    "com.google.android.googlequicksearchbox": ("organic", "google"),
    "com.linkedin.android": ("social", "linkedin"),
    "com.pinterest": ("social", "pinterest"),
    "com.reddit.frontpage": ("social", "reddit"),
    "googleads.g.doubleclick.net": ("paid", "google"),
    "www.googleadservices.com": ("paid", "google"),
    "googleadservices.com": ("paid", "google"),
    "docs.google.com": ("referral", "google.com"),
    "sites.google.com": ("referral", "google.com"),
    "news.google.com": ("referral", "google.com"),
    "groups.google.com": ("referral", "google.com"),
    "translate.google.com": ("referral", "google.com"),
    "play.google.com": ("referral", "google.com"),
}
