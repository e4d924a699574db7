"""What fetches links beside the customer, with the headers and at the times at which it really comes."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 "
    "Mobile/15E148 Safari/604.1"
)
CHROME_ON_WINDOWS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36"
)
APPLE = "Mozilla/5.0"
GMAIL_AHEAD = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/42.0.2311.135 Safari/537.36 "
    "Edge/12.246 Mozilla/5.0"
)
GMAIL_PROXY = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"

_BROWSER = {
    "accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "accept-language": "en-US,en;q=0.9",
    "upgrade-insecure-requests": "1",
    "sec-fetch-dest": "document",
    "sec-fetch-mode": "navigate",
    "sec-fetch-site": "none",
}


class Fetcher(msgspec.Struct, frozen=True):
    """One that is not the customer. ``siblings`` is how many links of a message it follows at once."""

    name: str
    headers: Mapping[str, str]
    method: str = "GET"
    since_sent_s: float = 3_600.0
    siblings: int = 1


def _named(name: str, agent: str, **others: object) -> Fetcher:
    return Fetcher(name, {"user-agent": agent, "accept": "*/*"}, **others)  # pyright: ignore[reportArgumentType]


FETCHERS = [
    Fetcher("Safe Links at delivery", {"user-agent": CHROME_ON_WINDOWS, **_BROWSER}, since_sent_s=4, siblings=5),
    Fetcher("Safe Links, later", {"user-agent": CHROME_ON_WINDOWS, **_BROWSER}, since_sent_s=240, siblings=5),
    Fetcher("a gateway at delivery, one link", {"user-agent": CHROME_ON_WINDOWS, **_BROWSER}, since_sent_s=2),
    Fetcher("a gateway that asks for the head", {"user-agent": CHROME_ON_WINDOWS, **_BROWSER}, method="HEAD"),
    _named("Barracuda", "Mozilla/5.0 (X11; Linux x64; rv:1.0) bcs Barracuda Sentinel (EE)"),
    _named("Proofpoint", "Mozilla/5.0 (compatible; proofpoint)"),
    _named("Mimecast", "Mimecast URL Protection"),
    Fetcher(
        "URL Defense at delivery",
        {"user-agent": CHROME_ON_WINDOWS, **_BROWSER, "referer": "https://urldefense.com/v3/__"},
        since_sent_s=8,
        siblings=3,
    ),
    _named("Apple's prefetch", APPLE),
    _named("Gmail's prefetch", GMAIL_AHEAD),
    _named("Gmail's picture proxy", GMAIL_PROXY),
    _named("WhatsApp's preview", "WhatsApp/2.24.10.80 A"),
    _named("Slack's preview", "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"),
    _named("Telegram's preview", "TelegramBot (like TwitterBot)"),
    _named("Discord's preview", "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)"),
    _named("Facebook's preview", "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)"),
    _named("LinkedIn's preview", "LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +http://www.linkedin.com)"),
    _named("Twitter's preview", "Twitterbot/1.0"),
    _named(
        "Skype's preview", "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5 skype-url-preview@microsoft.com"
    ),
    _named(
        "iMessage's preview",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_11_1) AppleWebKit/601.2.4 (KHTML, like Gecko) Version/9.0.1 Safari/601.2.4 "
        "facebookexternalhit/1.1 Facebot Twitterbot/1.0",
    ),
    Fetcher("Chrome reads ahead", {"user-agent": PHONE, **_BROWSER, "sec-purpose": "prefetch"}),
    Fetcher("Chrome renders ahead", {"user-agent": PHONE, **_BROWSER, "sec-purpose": "prefetch;prerender"}),
    Fetcher("Safari reads ahead", {"user-agent": PHONE, **_BROWSER, "x-purpose": "preview"}),
    Fetcher("Firefox reads ahead", {"user-agent": PHONE, **_BROWSER, "x-moz": "prefetch"}),
    _named("Safe Browsing", "Mozilla/5.0 (compatible; Google-Safety; +http://www.google.com/bot.html)"),
    _named("curl", "curl/8.5.0"),
    _named("a program", "python-requests/2.32.0"),
    _named("a browser without a window", CHROME_ON_WINDOWS.replace("Chrome/", "HeadlessChrome/")),
    _named("an uptime monitor", "Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)", method="HEAD"),
    Fetcher("a virus scanner without a name", {"accept": "*/*"}),
]
