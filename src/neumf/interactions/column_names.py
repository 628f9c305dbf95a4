"""Recognise the columns of users, items, timestamps and ratings by their names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

# Names in the form of `normalise_name`. Names of the second tuple count only in tables without a
# name of the first: they are coarser ids ("session_id" beside "user_id"), variants ("asin" beside
# "parent_asin"), or labels ("artist" beside "artist_id").
COLUMN_NAMES = {
    role: tuple(tuple(names.split()) for names in tiers)
    for role, tiers in {
        "user": (
            """
            user userid users uid usersha1 userhash useruuid reviewuserid customerid custid
            customerkey reviewerid visitorid fullvisitorid memberid accountid clientid buyerid
            shopperid guestid householdkey householdid personid msno profileid subscriberid
            listenerid viewerid readerid playerid learnerid studentid steamid
            """,
            """
            customer reviewer visitor member client buyer authorid sessionid session
            usersession visitid cookieid deviceid playlistid username screenname profilename
            reviewername email
            """,
        ),
        "item": (
            """
            item itemid items iid movieid filmid productid productproductid parentasin sku
            skuid stockcode articleid businessid bookid trackid songid artistid artmbid
            musicbrainzartistid musicbrainztrackid gmapid newsid appid gameid animeid showid
            episodeid videoid courseid jobid recipeid beerid beerbeerid hotelid listingid
            repoid paperid podcastid materialid goodsid contentid
            """,
            """
            asin isbn isbn13 movie film product article book track song artist artistname
            musicbrainzartistname trackname game gamename gametitle anime news recipe itemname
            productname restaurantid venueid venue locationid placeid poiid adid campaignid
            campaign creativeid
            """,
        ),
        "timestamp": (
            "timestamp unixreviewtime unixtimestamp unixtime ts reviewtimestamp",
            """
            time date datetime reviewtime reviewdate invoicedate tdat eventtime eventdate
            eventtimestamp createdat createdtime createdon creationdate dateadded orderdate
            ordertime orderedat purchasedate purchasetime purchasedat transactiondate
            transactiontime checkintime checkindate clicktime viewtime visittime watchedat
            playedat listenedat ratedat ratingtimestamp ratingdate submitted
            """,
        ),
        "rating": (
            """
            rating ratings overall stars score bookrating userrating reviewrating reviewscore
            reviewoverall reviewstars
            """,
            "",
        ),
    }.items()
}
_LABELS = ("label", "labels", "target", "y")
_TIME_WORD = re.compile(
    "times?|timestamp|datetime|dates?|days?|dt|ts|when|month|week|hour|epoch|created|updated"
    "|added|submitted",
    re.IGNORECASE,
)


def normalise_name(name: Any) -> str:
    """Return a name in lower case, without blanks, punctuation and suffixes such as ":token"."""
    text = re.sub(r":(token|float)(_seq)?$", "", str(name).strip())
    return re.sub(r"[\W_]+", "", text.lower())


def match_names(names: Sequence[Any], role: str) -> list[int]:
    """Return the positions of all columns that match a role best: one, several or none."""
    known = [normalise_name(name) if isinstance(name, str) else "" for name in names]
    for tier in COLUMN_NAMES[role]:
        found = [position for position, name in enumerate(known) if name in tier]
        if found:
            return found
    return []


def match_labels(names: Sequence[Any]) -> list[Any]:
    """Return the names of columns that seem to hold labels."""
    return [name for name in names if normalise_name(name) in _LABELS]


def names_a_time(name: Any) -> bool:
    """Tell whether a name contains a word for times, such as "date" or "created"."""
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", str(name))
    return any(map(_TIME_WORD.fullmatch, words))
