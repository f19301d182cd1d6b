#!/usr/bin/env bash
# Types the commands of docs/operator.md, in their order, as root on an empty machine: this one, seen through an overlay
# whose changes are thrown away, with a network of its own that has another node of the chain. Only systemd is not there:
# stand-ins for `systemctl` and `journalctl` start what the installed unit says.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

# ── outside: make the machine ────────────────────────────────────────────────

if [ "${1:-}" != --inside ]; then
	if ! unshare --mount --pid --net --fork --mount-proc true 2>/dev/null; then
		note "NOT RUN: the operator's guide, because this machine does not let root make namespaces"
		exit 0
	fi
	if have systemd-analyze; then
		# Its only complaint may be that the programs are not installed here.
		complaints=$(systemd-analyze verify scripts/assay-node.service 2>&1 | grep -v 'assay-node is not executable' || true)
		[ -z "$complaints" ] || die "systemd finds faults in scripts/assay-node.service:" "$complaints"
	else
		note "NOT CHECKED: scripts/assay-node.service, because systemd-analyze is not installed"
	fi
	work=$(mktemp -d "${TMPDIR:-/tmp}/assay-operator.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	# All processes of the namespace end with its first one.
	timeout --kill-after=10 300 unshare --mount --pid --net --fork --mount-proc \
		scripts/operator-test.sh --inside "$work"
	exit
fi

# ── inside: in namespaces of its own ─────────────────────────────────────────

work=$2
mount -t tmpfs tmpfs "$work"
mkdir "$work/upper" "$work/work" "$work/machine"
if ! mount -t overlay overlay -o "lowerdir=/,upperdir=$work/upper,workdir=$work/work" "$work/machine" 2>/dev/null; then
	note "NOT RUN: the operator's guide, because this kernel has no overlay file system"
	exit 0
fi
machine=$work/machine
mount -t proc proc "$machine/proc"
mount --rbind /dev "$machine/dev"
if have ip; then ip link set lo up; else die "ip is missing." "apt-get install iproute2"; fi

# The repository as it is after `make build`, and the commands of the guide.
repository=/srv/assay
mkdir -p "$machine$repository/bin"
cp -L bin/assay bin/assay-node bin/assay-engine "$machine$repository/bin/"
cp -r scripts demo-model docs "$machine$repository/"
blocks_of docs/operator.md sh run >"$machine$repository/guide.sh"

# Stand-ins for systemd: they read the unit and its drop-ins, and nothing else.
cat >"$machine/usr/local/bin/systemctl" <<'STANDIN'
#!/usr/bin/env bash
set -euo pipefail
unit=assay-node log=/var/log/assay-node.log pidfile=/run/assay-node.pid
files=(/etc/systemd/system/$unit.service /etc/systemd/system/$unit.service.d/*.conf)
last() { sed -n "s/^$1=//p" "${files[@]}" | tail -n 1; }
stop() {
	if [ -f $pidfile ]; then kill "$(cat $pidfile)" && tail --pid="$(cat $pidfile)" -f /dev/null; fi
	rm -f $pidfile
}
start() {
	local options
	options=$(last Environment | sed -E 's/^"?ASSAY_OPTIONS=//; s/"$//')
	# shellcheck disable=SC2046,SC2086 # systemd splits it at spaces too
	ASSAY_OPTIONS= setsid setpriv --reuid "$(last User)" --regid "$(last Group)" --init-groups --no-new-privs \
		$(last ExecStart | sed "s|\\\$ASSAY_OPTIONS|$options|") >>$log 2>&1 </dev/null &
	echo $! >$pidfile
	# A person types the next command a few seconds later.
	for _ in $(seq 300); do
		if (exec 3<>/dev/tcp/127.0.0.1/9944) 2>/dev/null; then return; fi
		sleep 0.2
	done
	tail -n 20 $log >&2
	return 1
}
case "$*" in
daemon-reload) ;;
"enable --now $unit" | "start $unit") start ;;
"stop $unit") stop ;;
"restart $unit") stop && start ;;
*) echo "systemctl $*: not known to this test" >&2; exit 1 ;;
esac
STANDIN
cat >"$machine/usr/local/bin/journalctl" <<'STANDIN'
#!/usr/bin/env bash
[ "$1 $2 $3" = "--unit assay-node --lines" ] && tail -n "$4" /var/log/assay-node.log
STANDIN
chmod 755 "$machine/usr/local/bin/systemctl" "$machine/usr/local/bin/journalctl"

# The rest of the network: a development chain's only validator, which the chain's specification names as a boot node.
node_key=0000000000000000000000000000000000000000000000000000000000000001
printf %s "$node_key" >"$work/node-key"
peer=$(bin/assay-node key inspect-node-key --file "$work/node-key")
bin/assay-node export-chain-spec --chain dev 2>/dev/null |
	sed "s|\"bootNodes\": \\[\\]|\"bootNodes\": [\"/ip4/127.0.0.1/tcp/30444/p2p/$peer\"]|" >"$machine$repository/chain.json"
grep -q 30444 "$machine$repository/chain.json" || die "the specification has no list of boot nodes."
bin/assay-node --chain "$machine$repository/chain.json" --alice --base-path "$work/network" --node-key "$node_key" \
	--listen-addr /ip4/127.0.0.1/tcp/30444 --rpc-port 0 --no-prometheus --no-telemetry >"$work/network.log" 2>&1 </dev/null &
# An account of that chain with money.
echo //Ferdie >"$machine$repository/account.key"

# on_machine COMMAND…: runs it there, with the environment of somebody who has just logged in.
on_machine() {
	chroot "$machine" env --ignore-environment --chdir $repository HOME=/root \
		PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}
if ! on_machine bash -euo pipefail -x guide.sh >"$work/guide.log" 2>&1; then
	tail -n 30 "$work/guide.log"
	tail -n 15 "$machine/var/log/assay-node.log" || true
	exit 1
fi

# What the guide promises.
inside() { on_machine bash -euo pipefail -c "$1"; }
promise() { # promise WHAT COMMAND
	for _ in $(seq 60); do
		if inside "$2" >/dev/null 2>&1; then return; fi
		sleep 1
	done
	tail -n 15 "$machine/var/log/assay-node.log"
	inside "$2" || true
	die "the guide does not keep a promise: $1."
}
promise "the node is connected" "assay status | grep -q ' 1 peers'"
promise "the engine serves the model" "assay status | grep -q 'assay-demo'"
promise "the provider is alive" "assay provider show 5CiPPseXPECbkjWCa6MnjNokrgYjMqmKndv2rSnekmSK2DjL | grep -q 'last seen  in block'"
promise "its votes are signed by a key of its own" \
	"assay provider show 5CiPPseXPECbkjWCa6MnjNokrgYjMqmKndv2rSnekmSK2DjL | grep -q 'key        0x'"
promise "the backup has keys and journal" \
	"tar --list --file assay-backup.tar.gz | grep -q keystore && tar --list --file assay-backup.tar.gz | grep -q journal"
promise "the node writes to its directory alone" "! find / -xdev -user assay -not -path '/var/lib/assay*' -not -path '/proc/*' | grep -q ."
