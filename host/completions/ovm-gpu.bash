# SPDX-License-Identifier: GPL-2.0-only
# bash completion for ovm-gpu(1)

_ovm_gpu() {
	local cur prev words cword
	_init_completion || return

	local command=${words[1]}
	if ((cword == 1)); then
		COMPREPLY=($(compgen -W 'check ps dump thaw kill --help --version' -- "$cur"))
		return
	fi

	case $prev in
	--qmp)
		_filedir
		return
		;;
	-D | --images-dir | --parent)
		_filedir -d
		return
		;;
	--backend)
		COMPREPLY=($(compgen -W 'auto cpu cuda' -- "$cur"))
		return
		;;
	-t | --tree | --cgroup | -j | --jobs | --ghost-limit | --timeout | --external)
		return
		;;
	esac

	local options='--qmp --json --verbose --help'
	case $command in
	check) options+=' --read-only' ;;
	ps) options+=' --all' ;;
	dump)
		options+=' --tree --images-dir --leave-running --leave-stopped --read-only'
		options+=' --tcp-established --shell-job --external --skip-zero --parent'
		options+=' --compress'
		options+=' --backend --jobs --ghost-limit --timeout'
		;;
	thaw | kill) options+=' --tree --cgroup --timeout' ;;
	esac
	COMPREPLY=($(compgen -W "$options" -- "$cur"))
} &&
	complete -F _ovm_gpu ovm-gpu
