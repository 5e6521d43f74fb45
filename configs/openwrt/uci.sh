# shellcheck shell=dash
# Turns /etc/config/knockd into a drop-in of /etc/knockd.conf; sourced by the init
# script, behind OpenWrt's /lib/functions.sh (and network.sh for knockd_networks).
#
#	config globals 'globals'
#		option enabled '1'
#		list network 'wan'		# or: option interface 'eth1'
#		option anything '...'		# a key of [options]
#
#	config door 'ssh'
#		option sequence '7000,8000,9000'
#		list tcpflags 'syn'		# or: option tcpflags 'syn'
#		option enabled '1'		# the default
#		option name 'a name'		# if it is not that of the section
#		option anything '...'		# a key of a door

# knockd_write MAIN prints the drop-in for a main file. What it cannot write it
# says on standard error, and then the status is not 0.
knockd_write() {
	unset KNOCKD_LOGS KNOCKD_INTERFACE KNOCKD_STATE KNOCKD_SPA
	KNOCKD_MAIN=$1 KNOCKD_ENABLED=0 KNOCKD_NETWORKS='' KNOCKD_FAULTS=0
	KNOCKD_TYPE='' KNOCKD_LISTS='' KNOCKD_OPTIONS='' KNOCKD_DOORS='' KNOCKD_KEYS=''
	# shellcheck disable=SC2317
	config_cb() { knockd_section "${1:-}" "${2:-}"; }
	# shellcheck disable=SC2317
	option_cb() { knockd_key "$1" "$2"; }
	# shellcheck disable=SC2317
	list_cb() { knockd_item "$1" "$2"; }
	config_load knockd
	knockd_section '' '' # the end
	reset_cb
	echo '# Made from /etc/config/knockd at each start and reload: change it there.'
	echo '[options]'
	knockd_defaults
	printf '%s%s' "$KNOCKD_OPTIONS" "$KNOCKD_DOORS"
	[ "$KNOCKD_FAULTS" -eq 0 ]
}

KNOCKD_NEWLINE='
'

knockd_fault() {
	echo "/etc/config/knockd: $KNOCKD_TYPE $KNOCKD_NAME: $1" >&2
	KNOCKD_FAULTS=$((KNOCKD_FAULTS + 1))
}

# knockd_section TYPE NAME ends the section that was read last, and begins another.
knockd_section() {
	local list value
	for list in $KNOCKD_LISTS; do
		eval "value=\$KNOCKD_LIST_$list"
		unset "KNOCKD_LIST_$list"
		knockd_add "$list" "$value"
	done
	case $KNOCKD_TYPE in
	globals)
		KNOCKD_ENABLED=$KNOCKD_ON
		KNOCKD_OPTIONS=$KNOCKD_OPTIONS$KNOCKD_KEYS
		;;
	door) [ "$KNOCKD_ON" = 0 ] || knockd_door ;;
	'') ;;
	*) knockd_fault "is neither globals nor a door" ;;
	esac
	KNOCKD_TYPE=$1 KNOCKD_NAME=$2 KNOCKD_KEYS='' KNOCKD_LISTS=''
	case $1 in globals) KNOCKD_ON=0 ;; *) KNOCKD_ON=1 ;; esac
}

# knockd_door writes a door, unless one of the main file gets more keys.
knockd_door() {
	local new='	new = yes'$KNOCKD_NEWLINE
	! grep -qxF "[$KNOCKD_NAME]" "$KNOCKD_MAIN" 2>/dev/null || new=
	KNOCKD_DOORS="$KNOCKD_DOORS${KNOCKD_NEWLINE}[$KNOCKD_NAME]$KNOCKD_NEWLINE$new$KNOCKD_KEYS"
	case $(echo "$KNOCKD_KEYS" | tr '[:upper:]' '[:lower:]') in *'	spa_key_file ='*) KNOCKD_SPA=1 ;; esac
}

# knockd_key KEY VALUE takes an option.
knockd_key() {
	case $KNOCKD_TYPE/$1 in
	*/enabled)
		KNOCKD_ON=0
		case $2 in 1 | on | true | yes | enabled) KNOCKD_ON=1 ;; esac
		;;
	globals/network) KNOCKD_NETWORKS="$KNOCKD_NETWORKS $2" ;;
	door/name)
		case $2 in
		'' | *[][]* | *"$KNOCKD_NEWLINE"*) knockd_fault "name: must be one line without brackets" ;;
		*) KNOCKD_NAME=$2 ;;
		esac
		;;
	*) knockd_add "$1" "$2" ;;
	esac
}

# knockd_item KEY VALUE takes an item of a list; knockd separates them by commas.
knockd_item() {
	if [ "$KNOCKD_TYPE/$1" = globals/network ]; then
		KNOCKD_NETWORKS="$KNOCKD_NETWORKS $2"
		return
	fi
	case $1 in *[!A-Za-z0-9_]*) knockd_add "$1" "$2" && return ;; esac
	case " $KNOCKD_LISTS " in
	*" $1 "*) eval "KNOCKD_LIST_$1=\$KNOCKD_LIST_$1,\$2" ;;
	*)
		KNOCKD_LISTS="$KNOCKD_LISTS $1"
		eval "KNOCKD_LIST_$1=\$2"
		;;
	esac
}

# knockd_add KEY VALUE writes a line of the section. Switches may be said in
# UCI's words, too.
knockd_add() {
	local key=$1 value=$2
	case $key in
	'' | *[!A-Za-z0-9_]*)
		knockd_fault "$key: no such key"
		return
		;;
	esac
	case $value in
	*"$KNOCKD_NEWLINE"*)
		knockd_fault "$key: must be one line"
		return
		;;
	esac
	case $(echo "$key" | tr '[:upper:]' '[:lower:]') in
	usesyslog)
		case $value in 1 | on | true | yes | enabled) KNOCKD_KEYS="${KNOCKD_KEYS}	UseSyslog$KNOCKD_NEWLINE" ;; esac
		KNOCKD_LOGS=1
		return
		;;
	logfile | log) KNOCKD_LOGS=1 ;;
	interface) KNOCKD_INTERFACE=1 ;;
	statedir) KNOCKD_STATE=1 ;;
	strict | require_source | spa_ipv6 | nat_masquerade | logfailures | allowduplicates)
		case $value in
		1 | on | true | enabled) value=yes ;;
		0 | off | false | disabled) value=no ;;
		esac
		;;
	esac
	KNOCKD_KEYS="${KNOCKD_KEYS}	$key = $value$KNOCKD_NEWLINE"
}

# knockd_defaults prints what holds on a router unless it is given: the system's
# log; the interface of the networks, or of the default route; and, if there are
# doors with keys, flash for the state, since what was used up has to be known when
# the power was off. Else that is in memory, as all of /var.
knockd_defaults() {
	local devices
	[ -n "${KNOCKD_LOGS:-}" ] || echo '	UseSyslog'
	if [ -z "${KNOCKD_INTERFACE:-}" ]; then
		devices=$(knockd_devices)
		echo "	Interface = ${devices:-default-route}"
	fi
	if [ -n "${KNOCKD_SPA:-}" ] && [ -z "${KNOCKD_STATE:-}" ]; then echo '	StateDir = /etc/knockd'; fi
}

# knockd_devices prints the devices of the networks that are up, with commas.
knockd_devices() {
	local network device all=''
	for network in $KNOCKD_NETWORKS; do
		device=
		network_get_device device "$network" || continue
		case ",$all," in *",$device,"*) ;; *) all=${all:+$all,}$device ;; esac
	done
	echo "$all"
}

# knockd_update MAIN writes the drop-in, if it is another than before: flash wears.
# The status is 2 if knockd is not enabled.
knockd_update() {
	local dropin="$1.d/50-uci.conf" new status
	mkdir -p "$1.d"
	new=$(
		umask 077
		mktemp "$1.d/.new.XXXXXX"
	) || return 1
	if knockd_write "$1" >"$new"; then status=0; else status=1; fi
	if [ "$status" -eq 0 ] && ! cmp -s "$new" "$dropin"; then mv -f "$new" "$dropin"; fi
	rm -f "$new"
	[ "$status" -eq 0 ] || return "$status"
	[ "$KNOCKD_ENABLED" = 1 ] || return 2
}
