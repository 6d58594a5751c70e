#!/usr/bin/env bash
# torch 2.13.0, x86: the two ways to ask which instructions torch uses disagree once somebody limits them.
#
# Expected: ATEN_CPU_CAPABILITY=default and ONEDNN_MAX_CPU_ISA=SSE41 take AVX2 away from torch's kernels and from
# oneDNN's, so torch.cpu.get_capabilities() stops naming it, as torch.backends.cpu.get_cpu_capability() does.
# Seen: get_capabilities() names what the processor has, under any limit. get_cpu_capability() follows
# ATEN_CPU_CAPABILITY and knows nothing of ONEDNN_MAX_CPU_ISA. So code that picks bfloat16 by get_capabilities()
# picks it also where oneDNN was told not to use the units for it, and multiplies in emulation.
#
# Output seen (AMD EPYC, AVX2):
#   no limit: capabilities avx2=True, kernels AVX2
#   ATEN_CPU_CAPABILITY=default: capabilities avx2=True, kernels DEFAULT
#   ONEDNN_MAX_CPU_ISA=SSE41: capabilities avx2=True, kernels AVX2
set -euo pipefail
grep -qw avx2 /proc/cpuinfo || { echo "skipped: needs an x86 processor with AVX2"; exit 0; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check torch==2.13.0 numpy

told() {
    env "$@" "$folder/venv/bin/python" -c '
import torch
print(torch.cpu.get_capabilities()["avx2"], torch.backends.cpu.get_cpu_capability())'
}
free=$(told -u ATEN_CPU_CAPABILITY -u ONEDNN_MAX_CPU_ISA)
aten=$(told ATEN_CPU_CAPABILITY=default)
onednn=$(told ONEDNN_MAX_CPU_ISA=SSE41)
printf '%s\n' "no limit: $free" "ATEN_CPU_CAPABILITY=default: $aten" "ONEDNN_MAX_CPU_ISA=SSE41: $onednn"

[ "$aten" = "True DEFAULT" ] || { echo "changed: ATEN_CPU_CAPABILITY now shows in get_capabilities()"; exit 1; }
[ "$onednn" = "$free" ] || { echo "changed: ONEDNN_MAX_CPU_ISA now shows"; exit 1; }
echo "as described"
