# Runs a server and ends it with the process that asked for it.
#
# $1: the server's folder, $2: its log, $3: the signal that ends it; then the command.
# Orders come on standard input, answers go to standard output. The input ends when the process that asked
# is gone, however it went: then the server goes too, and its folder.
folder=$1 log=$2 signal=$3
shift 3

# A zombie is gone.
alive() {
    kill -0 "$1" 2>/dev/null || return 1
    [ -r "/proc/$1/status" ] || return 0
    while read -r name value _; do
        if [ "$name" = State: ]; then [ "$value" != Z ]; return; fi
    done <"/proc/$1/status" 2>/dev/null
}

children() {
    for status in /proc/[0-9]*/status; do
        while read -r name value _; do
            case $name in
                Pid:) pid=$value ;;
                PPid:) [ "$value" = "$1" ] && echo "$pid"; break ;;
            esac
        done 2>/dev/null <"$status"
    done
}

start() {
    "$@" </dev/null >>"$log" 2>&1 &
    server=$!
}

gone() {
    for process in "$@"; do
        while alive "$process"; do sleep 0.05; done
    done
}

# Everything at once, as when the machine kills it: stopped first, so that it starts no other process.
kill_all() {
    kill -STOP "$server" 2>/dev/null || return 0
    processes=$(children "$server")
    kill -KILL "$server" $processes 2>/dev/null
    wait "$server" 2>/dev/null
    gone $processes
}

end() {
    kill "-$signal" "$server" 2>/dev/null
    turns=0
    while alive "$server" && [ $turns -lt 100 ]; do
        sleep 0.05
        turns=$((turns + 1))
    done
    kill_all
}

start "$@"
echo "$server"
while read -r order; do
    case $order in
        alive) alive "$server" && echo yes || echo no ;;
        kill) kill_all; echo killed ;;
        start) start "$@"; echo "$server" ;;
    esac
done
end
cd / && rm -rf "$folder"
