//! Scheduled tasks as clients see them, and the description of what can be scheduled.

use vim::{DateTime, MoRef, Object, Value, data_id, field, ty, vim, vim_enum};

use super::records::{State, Stored};

/// The parts of `ScheduledTaskInfo` that are not in the store.
#[derive(Clone, Debug, Default)]
pub(super) struct Live {
    pub next: Option<DateTime>,
    pub task: Option<MoRef>,
    pub progress: Option<i32>,
}

pub(super) fn info(me: &MoRef, stored: &Stored, live: &Live) -> Object {
    let mut info = stored.spec().retyped(data_id!(ScheduledTaskInfo));
    info.set(field!(ScheduledTaskInfo.scheduledTask), me);
    info.set(field!(ScheduledTaskInfo.entity), &stored.entity);
    info.set(field!(ScheduledTaskInfo.taskObject), &stored.object);
    info.set(field!(ScheduledTaskInfo.lastModifiedTime), DateTime::from_micros(stored.modified_us));
    info.set(field!(ScheduledTaskInfo.lastModifiedUser), &stored.user);
    info.set(field!(ScheduledTaskInfo.nextRunTime), live.next);
    let last = stored.last.as_ref();
    info.set(field!(ScheduledTaskInfo.prevRunTime), last.map(|run| DateTime::from_micros(run.began_us)));
    let state = match last.map(|run| run.state) {
        None => vim_enum!(TaskInfoState.queued),
        Some(State::Running) => vim_enum!(TaskInfoState.running),
        Some(State::Success) => vim_enum!(TaskInfoState.success),
        Some(State::Error) => vim_enum!(TaskInfoState.error),
    };
    info.set(field!(ScheduledTaskInfo.state), state);
    info.set(field!(ScheduledTaskInfo.error), last.and_then(|run| run.error()));
    info.set(field!(ScheduledTaskInfo.result), last.and_then(|run| run.made.clone()).map(Value::Ref));
    info.set(field!(ScheduledTaskInfo.progress), live.progress);
    info.set(field!(ScheduledTaskInfo.activeTask), live.task.clone());
    info
}

macro_rules! elements {
    ($($key:literal $label:literal;)*) => {
        vec![$(vim!(ElementDescription { key: $key, label: $label, summary: $label })),*]
    };
}

macro_rules! schedulers {
    ($($key:literal $label:literal $frequency:literal;)*) => {
        vec![$(vim!(ScheduledTaskDetail { key: $key, label: $label, summary: $label, frequency: $frequency })),*]
    };
}

pub(super) fn description() -> ty!(ScheduledTaskDescription) {
    vim!(ScheduledTaskDescription {
        action: [TypeDescription {
            key: "MethodAction",
            label: "Call a method",
            summary: "Calls a method of the object with its arguments",
        }],
        schedulerInfo: schedulers! {
            "AfterStartupTaskScheduler" "After the center's start" "Once after each start";
            "OnceTaskScheduler" "Once" "Once";
            "HourlyTaskScheduler" "Hourly" "Hours";
            "DailyTaskScheduler" "Daily" "Days";
            "WeeklyTaskScheduler" "Weekly" "Weeks";
            "MonthlyByDayTaskScheduler" "Monthly by day" "Months";
            "MonthlyByWeekdayTaskScheduler" "Monthly by weekday" "Months";
        },
        state: elements! {
            "queued" "Not run yet";
            "running" "Running";
            "success" "Completed";
            "error" "Failed";
        },
        dayOfWeek: elements! {
            "sunday" "Sunday";
            "monday" "Monday";
            "tuesday" "Tuesday";
            "wednesday" "Wednesday";
            "thursday" "Thursday";
            "friday" "Friday";
            "saturday" "Saturday";
        },
        weekOfMonth: elements! {
            "first" "First";
            "second" "Second";
            "third" "Third";
            "fourth" "Fourth";
            "last" "Last";
        },
    })
}
