package operation

import "strings"

// Title begins a word with a capital letter.
func Title(word string) string {
	if word == "" {
		return ""
	}
	return strings.ToUpper(word[:1]) + word[1:]
}

// Article is the indefinite article of a noun with a blank on each side; a
// blank for plurals.
func Article(noun string) string {
	switch {
	case strings.HasSuffix(noun, "s") && !strings.HasSuffix(noun, "ss"):
		return " "
	case noun != "" && strings.ContainsRune("AEIOUaeiou", rune(noun[0])):
		return " an "
	}
	return " a "
}
