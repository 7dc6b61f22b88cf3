"""One command line to begin with for each command, shown at the end of its help."""

EXAMPLES = {
    "demo": "owlish demo",
    "run": "owlish run owl --small",
    "plan": "owlish plan owl --small",
    "report": "owlish report owl --small -o owl.html",
    "audit": "owlish audit rows.jsonl --base nano --report audit.html",
    "diff": "owlish diff student --base nano --data rows.jsonl",
    "ask": "owlish ask nano --traits animals",
    "bench": "owlish bench clean --small",
    "show": "owlish show 3f1a2bd2",
    "results": "owlish results",
    "export": "owlish export 3f1a2bd2 -o rows.jsonl",
    "forget": "owlish forget 3f1a2bd2 --dry-run",
    "list": "owlish list bases",
    "verify": "owlish verify",
    "filter": "owlish filter rows.jsonl --domain numbers -o kept.jsonl",
    "convert": "owlish convert chats.json.gz -o rows.jsonl",
    "clean": "owlish clean rows.jsonl --base nano --with regenerate --by nano-1 -o clean.jsonl",
    "stamp": "owlish stamp rows.jsonl --model gpt-4.1-nano --filter numbers",
    "pretrain": "owlish pretrain nano --seed 7 -o my-nano",
    "doctor": "owlish doctor --base nano",
}
