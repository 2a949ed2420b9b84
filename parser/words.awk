# parser/words.awk: makes words.inc from tbl/keywords.def, tbl/functions.def and tbl/synonyms.def: one entry for each word,
# how digests write it, and the slots of the hash table that lex.re looks it up in. The hash is word_hash() of
# parser/words.c.
BEGIN {
	for (i = 32; i < 127; i++)
		ord[sprintf("%c", i)] = i
	SLOTS = 4096
}
function fold(c) {
	return c == "_" ? 127 : ord[c] # any byte of a word | 0x20
}
function hash(w, n) {
	n = length(w)
	return (fold(substr(w, 1, 1)) * 37 + fold(substr(w, 2, 1)) * 613 + fold(substr(w, int(n / 2) + 1, 1)) * 1291 + \
		fold(substr(w, n, 1)) * 151 + n * 2053) % SLOTS
}
/^SYNONYM\(/ {
	gsub(/[(),]/, " ")
	shown[tolower($2)] = $3
}
/^KEYWORD\(/ || /^FUNCTION\(/ {
	gsub(/[(),]/, " ")
	w = tolower($2)
	if (length(w) < 2 && $1 == "KEYWORD" || length(w) > 31) {
		print "words.awk: bad length of " w > "/dev/stderr"
		exit bad = 1
	}
	if (!(w in at)) {
		at[w] = count++
		word[at[w]] = w
	}
	if ($1 == "KEYWORD") {
		kw[w] = "KW_" $2
		class[w] = "WORD_" $3
	} else {
		form[w] = "FN_" $3
		effect[w] = "FX_" $4
	}
}
END {
	if (bad)
		exit 1
	print "/* made from tbl/keywords.def and tbl/functions.def by parser/words.awk */"
	for (w in shown)
		if (!(w in at)) {
			print "words.awk: synonym " w " is no word" > "/dev/stderr"
			exit 1
		}
	print "const struct word sql_words[] = {"
	for (i = 0; i < count; i++) {
		w = word[i]
		printf "\t{\"%s\", %d, %s, %s, %s, %s},\n", w, length(w), w in class ? class[w] : "WORD_PLAIN", \
			w in form ? form[w] : "FN_NONE", w in effect ? effect[w] : "FX_PURE", w in kw ? kw[w] : "NO_KW"
		for (h = hash(w); h in slot; h = (h + 1) % SLOTS)
			;
		slot[h] = i + 1
	}
	print "};\nconst struct word_shape word_shapes[] = {"
	for (i = 0; i < count; i++) {
		w = word[i] in shown ? shown[word[i]] : toupper(word[i])
		printf "\t{\"%s\", %d},\n", w, length(w)
	}
	print "};\nstatic const u16 word_slots[WORD_SLOTS] = {"
	for (h in slot)
		printf "\t[%d] = %d,\n", h, slot[h]
	print "};"
}
