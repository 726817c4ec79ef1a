package apiextensions

import (
	"testing"

	"github.com/knarr-io/knarr/internal/api/kindtest"
)

var rewrite = kindtest.RewriteFlag()

func TestScenarios(t *testing.T) { kindtest.Run(t, *rewrite, Kinds()) }
