#!/usr/bin/python3 -B
"""The benchmark's files of statements (bench/sql) are real: each parses, and a server prepares it with the tables it is for."""
from margaytest import *

TOP = os.environ.get("top_srcdir", ".")
SCHEMAS = {
    "sysbench": {"sbtest1": "id k c pad"},
    "tpcc": {
        "warehouse": "w_id w_name w_street_1 w_street_2 w_city w_state w_zip w_tax w_ytd",
        "district": "d_id d_w_id d_name d_street_1 d_street_2 d_city d_state d_zip d_tax d_ytd d_next_o_id",
        "customer": "c_id c_d_id c_w_id c_first c_middle c_last c_street_1 c_city c_phone c_since c_credit c_credit_lim c_discount c_balance "
                    "c_ytd_payment c_payment_cnt c_delivery_cnt",
        "history": "h_c_id h_c_d_id h_c_w_id h_d_id h_w_id h_date h_amount h_data", "new_order": "no_o_id no_d_id no_w_id",
        "orders": "o_id o_d_id o_w_id o_c_id o_entry_d o_carrier_id o_ol_cnt o_all_local", "item": "i_id i_name i_price i_data",
        "order_line": "ol_o_id ol_d_id ol_w_id ol_number ol_i_id ol_supply_w_id ol_delivery_d ol_quantity ol_amount ol_dist_info",
        "stock": "s_i_id s_w_id s_quantity s_dist_04 s_ytd s_order_cnt s_remote_cnt s_data"},
    "tpch": {
        "part": "p_partkey p_name p_mfgr p_brand p_type p_size p_container", "partsupp": "ps_partkey ps_suppkey ps_availqty ps_supplycost",
        "supplier": "s_suppkey s_name s_address s_nationkey s_phone s_acctbal s_comment", "nation": "n_nationkey n_name n_regionkey",
        "customer": "c_custkey c_name c_address c_nationkey c_phone c_acctbal c_mktsegment c_comment", "region": "r_regionkey r_name",
        "orders": "o_orderkey o_custkey o_orderstatus o_totalprice o_orderdate o_orderpriority o_shippriority o_comment",
        "lineitem": "l_orderkey l_partkey l_suppkey l_quantity l_extendedprice l_discount l_tax l_returnflag l_linestatus l_shipdate "
                    "l_commitdate l_receiptdate l_shipinstruct l_shipmode"}}
COUNTS = {"sysbench": 9, "tpcc": 26, "tpch": 22}


def setup():
    global db
    db = MariaDB("db1")


def texts(name):
    with open(os.path.join(TOP, "bench", "sql", name + ".sql")) as f:
        return [line.rstrip("\n;") for line in f]


def filtered(tool, lines, *options):
    out = subprocess.run([os.path.join(BUILD, "t", "bin", tool), *options], input="\0".join(lines).encode() + b"\0", capture_output=True, timeout=60)
    eq(out.returncode, 0, tool)
    return out.stdout.decode().split("\n")[:-1]


def test_statements_are_real():
    c = db.conn(autocommit=True)
    for name, tables in SCHEMAS.items():
        lines = texts(name)
        eq(len(lines), COUNTS[name], name)
        for text, line in zip(lines, filtered("parse", lines, "-q")):
            ok(line.startswith("ok 1 0 "), "%s: %s" % (line, text))
        query(c, "CREATE DATABASE " + name)
        query(c, "USE " + name)
        for t, columns in tables.items():
            query(c, "CREATE TABLE %s (%s)" % (t, ", ".join(col + (" DATE" if col.endswith("date") or col.endswith("_d") else " VARCHAR(120)") for col in columns.split())))
        for text in lines:
            query(c, "PREPARE s FROM " + sql_str(text))


main()
