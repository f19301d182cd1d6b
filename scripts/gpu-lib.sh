# shellcheck shell=bash
# Helpers of the scripts that use a GPU: where the programs are, whether there is a GPU. Sourced after lib.sh, never run.

gpu=${ASSAY_GPU:-0}

# Prints the directory with everything that was built for GPUs: bin/gpu, or GPU_BUNDLE.
gpu_bundle() { printf '%s\n' "${GPU_BUNDLE:-bin/gpu}"; }

bundle_commit() { cat "$bundle/commit" 2>/dev/null || echo "no commit"; }

driver_version() {
	local version
	version=$(nvidia-smi --query-gpu=driver_version --format=csv,noheader -i "$gpu" 2>/dev/null | head -n 1) || true
	printf 'driver %s\n' "${version:-unknown}"
}

# Ends the script if there is no driver. Looks where the loader looks; a container may lack nvidia-smi.
gpu_driver() {
	if ! { ldconfig -p 2>/dev/null || /sbin/ldconfig -p 2>/dev/null; } | grep 'libcuda\.so\.1' >/dev/null && ! in_library_path libcuda.so.1; then
		die "this machine has no NVIDIA driver (libcuda.so.1), so nothing was run." \
			"If it has a GPU: install the driver, release 580 or later; nvidia-smi shows whether it works."
	fi
}

# Sets `bundle`, or ends the script and names what is missing.
gpu_programs() {
	local program
	bundle=$(gpu_bundle)
	for program in assay-engine assay-engine-cuda assay-bench gpu-tests gpu-suite; do
		[ -x "$bundle/$program" ] || die "$bundle/$program is missing." \
			"make engine-cuda builds it, on any machine; copy the whole directory $bundle here."
	done
	bundle=$(cd "$bundle" && pwd -P)
}

in_library_path() { # in_library_path NAME
	local place
	while IFS= read -r -d : place; do
		[ -z "$place" ] || [ ! -e "$place/$1" ] || return 0
	done <<<"${LD_LIBRARY_PATH:-}:"
	return 1
}

# Finds CUDA's libraries for programs that were built elsewhere: in the bundle, in a toolkit, or in PyPI's packages.
gpu_libraries() {
	local place missing
	missing=$(missing_libraries)
	[ -n "$missing" ] || return 0
	# shellcheck disable=SC2046 # one directory a word
	for place in "$bundle/lib" "${CUDA_HOME:-/usr/local/cuda}/lib64" /usr/local/cuda*/lib64 /usr/local/cuda*/targets/x86_64-linux/lib \
		"${ASSAY_CACHE:-$HOME/.cache/assay}"/cuda/venv/lib/python3*/site-packages/nvidia/cu13/lib $(python_libraries); do
		[ -d "$place" ] || continue
		export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$place
		missing=$(missing_libraries)
		[ -n "$missing" ] || return 0
	done
	die "CUDA's libraries were not found: ${missing//$'\n'/ }." \
		"They must be of the release that built the programs ($(cat "$bundle/cuda" 2>/dev/null || echo unknown))." \
		"Get them by a toolkit of that release, or 'pip install cuda-toolkit[cudart,cublas,curand,nvrtc]', or GPU_BUNDLE_LIBS=1 make engine-cuda."
}

missing_libraries() {
	{ ldd "$bundle/assay-engine-cuda" "$bundle"/assay-bench "$bundle"/gpu-* 2>/dev/null || true; } |
		awk '/not found/ { print $1 }' | sort -u
}

# Prints the library directories of the nvidia packages that Python has, including PyTorch's.
python_libraries() {
	"${BENCH_PYTHON:-python3}" - 2>/dev/null <<'P' || true
import glob, site, sys
for place in site.getsitepackages() + [site.getusersitepackages()]:
    print(*glob.glob(place + "/nvidia/*/lib"), sep="\n")
P
}
