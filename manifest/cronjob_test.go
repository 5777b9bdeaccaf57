package manifest

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
)

// What is wrong with a schedule is said with its line, all at once.
func TestLoad_CronJobs(t *testing.T) {
	for _, test := range []struct{ name, spec, want string }{
		{"good", `schedule: "*/5 * * * *", timeZone: Europe/Berlin`, ""},
		{"a leap day", `schedule: "0 0 29 2 *"`, ""},
		{"a macro", `schedule: "@hourly"`, ""},
		{"never", `schedule: "0 0 31 2 *"`, `cron.yaml:5: CronJob/default/tidy: spec.schedule: Invalid value: "0 0 31 2 *": no such time ever comes: the job would never run`},
		{"never, in no zone", `schedule: "0 0 31 2 *", timeZone: Mars/Olympus`, `no such time ever comes: the job would never run
cron.yaml:5: CronJob/default/tidy: spec.timeZone: Invalid value: "Mars/Olympus": unknown time zone Mars/Olympus`},
		{"no field", `schedule: "0 , * * *"`, `no such time ever comes`},
		{"no cron line", `schedule: "every day"`, `cron.yaml:5: CronJob/default/tidy: spec.schedule: Invalid value: "every day": expected exactly 5 fields`},
		{"at boot", `schedule: "@reboot"`, `cron.yaml:5: CronJob/default/tidy: spec.schedule: Invalid value: "@reboot": unrecognized descriptor`},
		{"a zone in the schedule", `schedule: "CRON_TZ=UTC 0 0 * * *"`, `cannot use TZ or CRON_TZ in schedule, use timeZone field instead`},
		{"half a zone in the schedule", `schedule: "TZ=0"`, `cannot use TZ or CRON_TZ in schedule, use timeZone field instead`},
		{"an unknown zone", `schedule: "0 0 * * *", timeZone: Europe/Atlantis`, `cron.yaml:5: CronJob/default/tidy: spec.timeZone: Invalid value: "Europe/Atlantis": unknown time zone Europe/Atlantis`},
		{"the machine's zone", `schedule: "0 0 * * *", timeZone: Local`, `spec.timeZone: Invalid value: "Local": timeZone must be an explicit time zone`},
		{"a deadline before", `schedule: "0 0 * * *", startingDeadlineSeconds: -1`, `spec.startingDeadlineSeconds: Invalid value: -1: must be greater than or equal to 0`},
	} {
		t.Run(test.name, func(t *testing.T) {
			text := fmt.Sprintf("apiVersion: batch/v1\nkind: CronJob\nmetadata:\n  name: tidy\nspec: {%s, jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: c}]}}}}}\n", test.spec)
			_, err := Load(fstest.MapFS{"cron.yaml": {Data: []byte(text)}}, nil)
			switch {
			case test.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}
