package job

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TestScenarios plays the texts in testdata; run it with -rewrite to take the
// present output over. The commands:
//
//	new parallelism=N [completions=N] [and what edit takes]
//	edit [parallelism=N] [completions=N] [indexed] [backoff=N] [perindex=N] [maxfailed=N] [deadline=SECONDS]
//	     [suspend=BOOL] [replace=Failed] [onexit=CODE:ACTION] [success=INDEXES[:COUNT]]
//	    what a user does; onexit may be repeated
//	sync
//	    runs of the controller until nothing changes; pods that were deleted go
//	exit POD CODE
//	    a pod's container ends
//	disrupt POD
//	    somebody deletes a pod
//	wait SECONDS
//	    time passes
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		var w *world
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "new":
				w = newWorld(1, nil)
				editJob(t, d, w.job)
				return ""
			case "edit":
				w.job = w.job.DeepCopy()
				editJob(t, d, w.job)
				return ""
			case "exit":
				w.end(uid(t, d), int32(number(t, d, d.CmdArgs[1].Key)))
				return ""
			case "disrupt":
				w.change(uid(t, d), func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: w.now} })
				return ""
			case "wait":
				w.now = w.now.Add(time.Duration(number(t, d, d.CmdArgs[0].Key)) * time.Second)
			case "sync":
			default:
				d.Fatalf(t, "no such command")
			}
			for range 4 {
				w.reconcile()
				w.sweep()
			}
			return w.describe()
		})
	})
}

func uid(t *testing.T, d *datadriven.TestData) types.UID {
	return types.UID("0" + strings.TrimPrefix(d.CmdArgs[0].Key, "p"))
}

func number(t *testing.T, d *datadriven.TestData, text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		d.Fatalf(t, "%v", err)
	}
	return n
}

func editJob(t *testing.T, d *datadriven.TestData, j *batchv1.Job) {
	s := &j.Spec
	for _, arg := range d.CmdArgs {
		value := strings.Join(arg.Vals, ",")
		small := func() *int32 { n := int32(number(t, d, value)); return &n }
		switch arg.Key {
		case "parallelism":
			s.Parallelism = small()
		case "completions":
			s.Completions = small()
		case "indexed":
			mode := batchv1.IndexedCompletion
			s.CompletionMode = &mode
		case "backoff":
			s.BackoffLimit = small()
		case "perindex":
			s.BackoffLimitPerIndex = small()
		case "maxfailed":
			s.MaxFailedIndexes = small()
		case "deadline":
			n := int64(*small())
			s.ActiveDeadlineSeconds = &n
		case "suspend":
			yes := value == "true"
			s.Suspend = &yes
		case "replace":
			p := batchv1.PodReplacementPolicy(value)
			s.PodReplacementPolicy = &p
		case "onexit":
			addRule(t, d, s, value)
		case "success":
			addSuccess(t, d, s, value)
		default:
			d.Fatalf(t, "no such argument: %s", arg.Key)
		}
	}
}

func addRule(t *testing.T, d *datadriven.TestData, s *batchv1.JobSpec, value string) {
	code, action, _ := strings.Cut(value, ":")
	if s.PodFailurePolicy == nil {
		s.PodFailurePolicy = &batchv1.PodFailurePolicy{}
	}
	s.PodFailurePolicy.Rules = append(s.PodFailurePolicy.Rules, batchv1.PodFailurePolicyRule{
		Action: batchv1.PodFailurePolicyAction(action),
		OnExitCodes: &batchv1.PodFailurePolicyOnExitCodesRequirement{
			Operator: batchv1.PodFailurePolicyOnExitCodesOpIn, Values: []int32{int32(number(t, d, code))},
		},
	})
}

func addSuccess(t *testing.T, d *datadriven.TestData, s *batchv1.JobSpec, value string) {
	list, count, hasCount := strings.Cut(value, ":")
	rule := batchv1.SuccessPolicyRule{}
	if list != "" {
		rule.SucceededIndexes = &list
	}
	if hasCount {
		n := int32(number(t, d, count))
		rule.SucceededCount = &n
	}
	s.SuccessPolicy = &batchv1.SuccessPolicy{Rules: []batchv1.SuccessPolicyRule{rule}}
}
