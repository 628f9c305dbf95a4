"""The layouts of public data sets: what is recognised, and what asks for a name."""

import numpy as np
import pandas as pd
import pytest

from neumf.datasets import read_interactions

# Name of the file: its text, and user, item, timestamp and rating of the first row. Values are
# invented.
MILLISECONDS = 1_704_067_200_123
READ = {
    "MovieLens ratings.csv": (
        "userId,movieId,rating,timestamp\n1,31,2.5,1260759144\n1,1029,3.0,1260759179\n",
        (1, 31, 1260759144, 2.5),
    ),
    "Amazon 2014 reviews.json": (
        '{"reviewerID": "A1", "asin": "0000013714", "reviewerName": "J", "helpful": [0, 0], '
        '"reviewText": "x", "overall": 5.0, "summary": "y", "unixReviewTime": 1386028800, '
        '"reviewTime": "12 3, 2013"}\n'
        '{"reviewerID": "A2", "asin": "0000013714", "reviewerName": "K", "helpful": [2, 3], '
        '"reviewText": "x", "overall": 4.0, "summary": "y", "unixReviewTime": 1371340800, '
        '"reviewTime": "06 16, 2013"}\n',
        ("A1", "0000013714", 1386028800, 5.0),
    ),
    "Amazon 2018 reviews.json": (
        '{"overall": 5.0, "verified": true, "reviewTime": "01 1, 2018", "reviewerID": "A1", '
        '"asin": "B1", "reviewerName": "J", "summary": "y", "unixReviewTime": 1514764800}\n',
        ("A1", "B1", 1514764800, 5.0),
    ),
    "Amazon 2023 reviews.jsonl": (
        '{"rating": 5.0, "title": "x", "text": "y", "images": [], "asin": "B0A", '
        f'"parent_asin": "B0B", "user_id": "AE", "timestamp": {MILLISECONDS}, '
        '"helpful_vote": 0, "verified_purchase": true}\n',
        ("AE", "B0B", 1704067200.123, 5.0),
    ),
    "Amazon 2023 5core.csv": (
        f"user_id,parent_asin,rating,timestamp\nAE,B0B,5.0,{MILLISECONDS}\n",
        ("AE", "B0B", 1704067200.123, 5.0),
    ),
    "Book-Crossing BX-Book-Ratings.csv": (
        '"User-ID";"ISBN";"Book-Rating"\n"276725";"034545104X";"0"\n"276726";"0155061224";"5"\n',
        (276725, "034545104X", None, 0.0),
    ),
    "Last.fm 360K plays.tsv": (
        "user_id\tartist_id\tartist_name\tplays\nu1\t3bd73256\tbetty blowtorch\t2137\n",
        ("u1", "3bd73256", None, None),
    ),
    "Goodreads goodreads_interactions.csv": (
        "user_id,book_id,is_read,rating,is_reviewed\n0,948,1,5,0\n0,947,1,5,1\n",
        (0, 948, None, 5.0),
    ),
    "Steam recommendations.csv": (
        "app_id,helpful,funny,date,is_recommended,hours,user_id,review_id\n"
        "975370,0,0,2022-12-12,true,36.3,51580,0\n",
        (51580, 975370, pd.Timestamp("2022-12-12"), None),
    ),
    "Yelp review.json": (
        '{"review_id": "r", "user_id": "u", "business_id": "b", "stars": 3.0, "useful": 0, '
        '"funny": 0, "cool": 0, "text": "x", "date": "2018-07-07 22:09:11"}\n',
        ("u", "b", pd.Timestamp("2018-07-07 22:09:11"), 3.0),
    ),
    "RetailRocket events.csv": (
        f"timestamp,visitorid,event,itemid,transactionid\n{MILLISECONDS},257597,view,355908,\n",
        (257597, 355908, 1704067200.123, None),
    ),
    "Yoochoose clicks.csv": (
        "Session ID,Timestamp,Item ID,Category\n1,2014-04-07T10:51:09.277Z,214536502,0\n",
        (1, 214536502, pd.Timestamp("2014-04-07T10:51:09.277Z"), None),
    ),
    "H&M transactions_train.csv": (
        "t_dat,customer_id,article_id,price,sales_channel_id\n"
        "2018-09-20,000058a1,663713001,0.05,2\n",
        ("000058a1", 663713001, pd.Timestamp("2018-09-20"), None),
    ),
    "Taobao UserBehavior.csv": (
        "user_id,item_id,category_id,behavior_type,timestamp\n1,2268318,2520377,pv,1511544070\n",
        (1, 2268318, 1511544070, None),
    ),
    "Netflix prize.csv": (
        "Cust_Id,Movie_Id,Rating,Date\n1488844,1,3,2005-09-06\n",
        (1488844, 1, pd.Timestamp("2005-09-06"), 3.0),
    ),
    "Online Retail.csv": (
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
        "536365,85123A,HOLDER,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom\n",
        (17850, "85123A", pd.Timestamp("2010-12-01 08:26"), None),
    ),
    "Fine Foods Reviews.csv": (
        "Id,ProductId,UserId,ProfileName,HelpfulnessNumerator,HelpfulnessDenominator,Score,Time,"
        "Summary,Text\n1,B001E4KFG0,A3SGXH7AUHU8GW,delmartian,1,1,5,1303862400,x,y\n",
        ("A3SGXH7AUHU8GW", "B001E4KFG0", 1303862400, 5.0),
    ),
    "RecBole ml-100k.inter": (
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n196\t242\t3\t881250949\n",
        (196, 242, 881250949, 3.0),
    ),
    "Gowalla totalCheckins.csv": (
        "user,check-in time,latitude,longitude,location id\n"
        "0,2010-10-19T23:55:27Z,30.2,-97.7,22847\n",
        (0, 22847, pd.Timestamp("2010-10-19T23:55:27Z"), None),
    ),
    "Dunnhumby transaction_data.csv": (
        "household_key,BASKET_ID,DAY,PRODUCT_ID,QUANTITY,SALES_VALUE,STORE_ID,TRANS_TIME,WEEK_NO\n"
        "2375,26984851472,1,1004906,1,1.39,364,1631,1\n",
        (2375, 1004906, None, None),
    ),
    "Criteo attribution.tsv": (
        "timestamp\tuid\tcampaign\tconversion\tcost\tcat1\n0\t20073966\t22589171\t0\t0.00001\t5\n",
        (20073966, 22589171, 0, None),
    ),
    "Instacart orders and products.csv": (
        "order_id,user_id,eval_set,order_number,order_dow,order_hour_of_day,product_id,reordered\n"
        "2539329,1,prior,1,2,8,196,0\n",
        (1, 196, None, None),
    ),
}
# Files that ask for a name or a format: their text and the error.
REFUSED = {
    "MIND behaviors.tsv": (
        "Impression ID\tUser ID\tTime\tHistory\tImpressions\n"
        "1\tU13740\t11/11/2019 9:05:58 AM\tN55189 N42782\tN55689-1 N35729-0\n",
        r"no column names an item; 'User ID' is the user; 'Time' is the timestamp\. Name them: ",
    ),
    "MIND clicks.tsv": (
        "User ID\tNews ID\tTime\nU13740\tN55689\t11/11/2019 9:05:58 AM\n",
        r"timestamps must be.*Received '11/11/2019 9:05:58 AM' in row 0.*format=",
    ),
    "Instacart order_products.csv": (
        "order_id,product_id,add_to_cart_order,reordered\n2,33120,1,1\n",
        r"no column names a user; 'product_id' is the item\. Name them",
    ),
    "Last.fm 1K plays.tsv": (
        "userid\ttimestamp\tmusicbrainz-artist-id\tartist-name\tmusicbrainz-track-id\ttrack-name\n"
        "user_000001\t2009-05-04T23:08:57Z\tf1b1cf71\tDeep Dish\tc1b1\tA Track\n",
        r"'musicbrainz-artist-id' and 'musicbrainz-track-id' both name an item",
    ),
    "Goodreads reviews.json": (
        '{"user_id": "8842", "book_id": "24375664", "review_id": "5cd4", "rating": 5, '
        '"date_added": "Fri Aug 25 13:55:02 -0700 2017", "n_votes": 16}\n',
        r"timestamps must be.*Received 'Fri Aug 25 13:55:02 -0700 2017' in row 0",
    ),
    "Criteo display.tsv": (
        "label\tI1\tI2\tC1\tC2\n0\t1\t1\t68fd1e64\t80e26c9b\n",
        r"no column names a user; no column names an item",
    ),
    "MovieLens ratings.dat": (
        "1;1193;5;978300760\n1;661;3;978302109\n",
        r"Received columns \['1', '1193', '5', '978300760'\].*no column names a user",
    ),
}


@pytest.mark.parametrize("name", READ)
def test_layout_is_read(name, tmp_path):
    text, expected = READ[name]
    path = tmp_path / name
    path.write_text(text)
    table = read_interactions(path)
    roles = ("user", "item", "timestamp", "rating")
    known = [role for role, value in zip(roles, expected, strict=True) if value is not None]
    assert list(table.columns) == known
    assert len(table) == len(text.splitlines()) - (not name.endswith(("json", "jsonl")))
    for role, value in zip(roles, expected, strict=True):
        if value is not None:
            assert table[role].iloc[0] == value


@pytest.mark.parametrize("name", REFUSED)
def test_layout_asks_for_what_is_not_known(name, tmp_path):
    text, match = REFUSED[name]
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ValueError, match=match):
        read_interactions(path)


def test_arguments_name_what_the_columns_do_not():
    X = pd.DataFrame({"who": ["u"], "item": ["i"], "when": ["2024-01-31"], "mark": ["4"]})
    table = read_interactions(X, user="who", timestamp="when", rating="mark")
    assert table.to_dict("list") == {
        "user": ["u"],
        "item": ["i"],
        "timestamp": [pd.Timestamp("2024-01-31")],
        "rating": [4.0],
    }


def test_arguments_count_before_names():
    X = pd.DataFrame({"user": [1], "buyer": [2], "track_id": [3], "artist_id": [4]})
    table = read_interactions(X, user="buyer", item="artist_id")
    assert table.to_dict("list") == {"user": [2], "item": [4]}


def test_positions_name_columns_of_arrays_and_of_files_without_a_header(tmp_path):
    expected = {"user": [7, 8], "item": [1, 2], "timestamp": [50, 60]}
    rows = np.array([[1, 50, 7], [2, 60, 8]])
    named = {"user": 2, "item": 0, "timestamp": 1}
    assert read_interactions(rows, **named).to_dict("list") == expected
    path = tmp_path / "log.data"
    path.write_text("1|50|7\n2|60|8\n")
    assert read_interactions(path, **named).to_dict("list") == expected


def test_unknown_column_is_refused_with_the_nearest():
    X = pd.DataFrame({"customer": [1], "sku": [2]})
    with pytest.raises(
        ValueError, match=r"user must be one of .*'custmer'\. Did you mean 'customer"
    ):
        read_interactions(X, user="custmer")


def test_ratings_must_be_numbers():
    X = pd.DataFrame({"user": [1, 2], "item": [1, 2], "rating": ["5", "good"]})
    with pytest.raises(ValueError, match=r"ratings must be numbers\. Received 'good' in row 1 \(1"):
        read_interactions(X)
    assert np.isnan(read_interactions(X.assign(rating=["5", None]))["rating"].iloc[1])


@pytest.mark.parametrize("kind", ["polars", "pyarrow", "parquet", "gzip"])
def test_tables_of_every_kind_are_read(kind, tmp_path):
    X = pd.DataFrame({"userId": [1, 2], "movieId": [3, 4], "timestamp": [5, 6]})
    if kind == "polars":
        table = pytest.importorskip("polars").from_dict(X.to_dict("list"))
    elif kind == "pyarrow":
        table = pytest.importorskip("pyarrow").table(X.to_dict("list"))
    elif kind == "parquet":
        pytest.importorskip("pyarrow")
        table = tmp_path / "x.parquet"
        X.to_parquet(table)
    else:
        table = tmp_path / "x.csv.gz"
        X.to_csv(table, index=False)
    expected = {"user": [1, 2], "item": [3, 4], "timestamp": [5, 6]}
    assert read_interactions(table).to_dict("list") == expected


def test_missing_file_and_foreign_encoding_say_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="where there is no file"):
        read_interactions(tmp_path / "no.csv")
    path = tmp_path / "books.csv"
    path.write_bytes("user,item\n1,Fräulein\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"a file that pandas can read.*encoding=.*DataFrame"):
        read_interactions(path)


def test_fit_reads_what_the_reader_returns(tmp_path):
    from neumf import PopularityRecommender

    path = tmp_path / "retail.csv"
    path.write_text(READ["Online Retail.csv"][0])
    assert PopularityRecommender().fit(read_interactions(path)).users_.tolist() == [17850]
