# usage: zsh -f -c SCRIPT zsh DIRECTORY COMMAND LINE
# Prints what an interactive zsh shows after LINE and a tab, with the
# completions in DIRECTORY.
zmodload zsh/zpty
zpty -b z 'TERM=dumb PS1=READY: zsh -f -i'
zpty -w z "fpath=($1 \$fpath); autoload -Uz compinit; compinit -u -D; zstyle ':completion:*' list-prompt ''; LISTMAX=999; setopt no_auto_menu no_beep; echo LOADE\"D\""
out=
until [[ $out == *LOADED* ]] { zpty -r -t z chunk && out+=$chunk || sleep 0.05 }
zpty -w -n z "$3"$'\t'
out= ; integer idle=0
while (( idle < 20 )) { zpty -r -t z chunk && { out+=$chunk; idle=0 } || { sleep 0.05; idle+=1 } }
zpty -d z
print -r -- "$out"
