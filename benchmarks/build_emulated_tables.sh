#!/bin/sh
# Makes the shipped tables of instruction counts and the scales that turn them into time.
#
# Needs QEMU and ../shared/data/boards. Run it again after a change of the firmware: a table and a
# scale belong to one build of the kernels. About a minute.
#
# The plan for the mcunet space has no convolutions with a window but stems; the operators of the
# MLPerf Tiny networks are measured as well, since the scales are fitted to those.
set -eu
cd "$(dirname "$0")/.."
ops=$(mktemp)
trap 'rm -f "$ops"' EXIT
python benchmarks/mlperf_scales.py --list-ops "$ops"
for core in cortex-m4 cortex-m7 cortex-m33; do
    table="latency_tables/emulated-$core.hnas-c.yaml"
    hybrid-nas latency build --board "emulated-$core" --space mcunet --restart --no-validate \
        --out "$table"
    hybrid-nas latency build --board "emulated-$core" --space mcunet --extend --ops "$ops" \
        --out "$table"
done
python benchmarks/mlperf_scales.py --write
python benchmarks/per_op_error.py --write
