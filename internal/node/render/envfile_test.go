package render

import (
	"strings"
	"testing"
)

func TestVariablesOfFiles(t *testing.T) {
	for _, tc := range []struct{ text, want, err string }{
		{"A='1'", "1", ""},
		{"\n  # A='0'\nB='2'\n\t A='1' # one\n", "1", ""},
		{"A='1'\nA='2'\n", "1", ""},
		{"A='$B \\n \"x\"'", `$B \n "x"`, ""},
		{"B='x\nA=0\n'\nA='1\n2 '\n", "1\n2 ", ""},
		{"B='x'\r\nA='1\r\n2'\r\n", "1\n2", ""},
		{"A= 'x'\n", "", ""},
		{"B=\t\nA='1'\n", "1", ""},
		{"A=''\n", "", ""},
		{"", "", ""},
		{"A='1'\nnonsense\n", "1", ""},
		{"nonsense\nA='1'\n", "", "line 1: there is no ="},
		{"\n='1'\n", "", "line 2: there is no name"},
		{"A ='1'\n", "", "line 1: there is a blank before"},
		{"A=1\n", "", "line 1: the value is not in single quotes"},
		{"A=\n", "", "line 1: the value is not in single quotes"},
		{"B='\n\n' x\n", "", "line 3: there is more after"},
		{"B='1'\nA='1\n\n", "", "line 2: the quote is not closed"},
	} {
		got, err := fileVariable(tc.text, "A")
		if got != tc.want || (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
			t.Errorf("%q: %q, %v; want %q, %q", tc.text, got, err, tc.want, tc.err)
		}
	}
}
