#!/usr/bin/env bash
# Sets up the machine of the Vagrantfile. It also works on any Debian 12 that you can spare.
#
#   provision.sh install   packages, Docker, Rust, groups
#   provision.sh engine    builds the engine, installs it as a service, runs a first container
#
# Both can be repeated. They need root.
set -euo pipefail

project=/drydock
user=vagrant
# Not in the shared folder: it may be slow, and on some hosts it cannot hold what cargo writes.
target=/var/cache/drydock-target
# The conformance suite takes its truth from Docker 28. Debian 12's own package (docker.io) is 20.10, which
# answers many requests in other words, so Docker's repository is used.
docker_version='5:28.5.*'

say() { printf '\n==> %s\n' "$*"; }

install_packages() {
    say "packages"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q
    apt-get install -yq --no-install-recommends \
        busybox-static ca-certificates curl gcc git libc6-dev
}

install_docker() {
    say "Docker"
    install -m 0755 -d /etc/apt/keyrings
    curl -fsSL https://download.docker.com/linux/debian/gpg -o /etc/apt/keyrings/docker.asc
    cat >/etc/apt/sources.list.d/docker.sources <<SOURCES
Types: deb
URIs: https://download.docker.com/linux/debian
Suites: bookworm
Components: stable
Signed-By: /etc/apt/keyrings/docker.asc
SOURCES
    apt-get update -q
    apt-get install -yq --no-install-recommends --allow-downgrades \
        "docker-ce=$docker_version" "docker-ce-cli=$docker_version" containerd.io
    apt-mark hold docker-ce docker-ce-cli
}

install_rust() {
    say "Rust"
    # Debian 12's own Rust is older than the project needs.
    export RUSTUP_HOME=/opt/rust/rustup CARGO_HOME=/opt/rust/cargo
    if [ ! -x "$CARGO_HOME/bin/cargo" ]; then
        curl -fsSL https://sh.rustup.rs | sh -s -- -y --no-modify-path --profile minimal -c clippy -c rustfmt
    fi
    cat >/etc/profile.d/drydock.sh <<PROFILE
# Rust for everybody on this machine; each user has a registry of their own.
export RUSTUP_HOME=/opt/rust/rustup
export PATH="/opt/rust/cargo/bin:\$PATH"
export CARGO_TARGET_DIR=$target
PROFILE
}

prepare_users() {
    say "users"
    groupadd --force --system drydock
    # Who may use an engine's socket is as powerful as root. On this machine that is what we want.
    if id "$user" >/dev/null 2>&1; then
        usermod --append --groups docker,drydock "$user"
        grep -qs "cd $project" "/home/$user/.profile" || echo "cd $project" >>"/home/$user/.profile"
    fi
    install -d -m 2775 -g drydock "$target"
}

build_engine() {
    say "the engine"
    # shellcheck disable=SC1091
    . /etc/profile.d/drydock.sh
    umask 002 # the user builds in the same folder
    cd "$project"
    cargo build --release --locked --package drydock
    install -m 0755 "$(find "$target" -path '*/release/drydock' -type f | head -n 1)" /usr/local/bin/drydock
}

start_engine() {
    cat >/etc/systemd/system/drydock.service <<'UNIT'
[Unit]
Description=Drydock container engine
After=network-online.target
Wants=network-online.target

[Service]
ExecStart=/usr/local/bin/drydock daemon
# Containers belong to their shims and run on while the daemon is restarted.
KillMode=process
Restart=on-failure

[Install]
WantedBy=multi-user.target
UNIT
    systemctl daemon-reload
    systemctl enable drydock
    systemctl restart drydock
    # Makes the base image, runs a first container, and says where to go on.
    for _ in $(seq 50); do
        [ -S /run/drydock/drydock.sock ] && break
        sleep 0.2
    done
    drydock up
}

case ${1:-} in
install)
    install_packages
    install_docker
    install_rust
    prepare_users
    ;;
engine)
    build_engine
    start_engine
    ;;
*)
    sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
