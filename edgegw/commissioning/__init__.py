"""Commissioning: an installer walks a new charger through its tests, and gets a report of it.

The rooms inside, and who needs which:

    plan        Plan: what is to be tested (charger, connector, circuit, phases, limits)
    words       Observation, Order, Question, StepRecord, Progress: what goes in and out; data only
    wizard      Commissioning(plan): pure; `next(seen, now)` -> Step (orders, question, progress)
    settling    pure: whether a car still comes to what it will draw
    rotation    pure: which wiring explains what the meter saw
    report      Report: JSON and text of 80 columns, written into new files
    driver      CommissioningRun: carries it out with a ControlClient in a thread of its own

For a screen, `driver.CommissioningRun` is all it takes:

    run = CommissioningRun(connect, plan, by="who stands here", watch=callback)
        connect: () -> ControlClient, called once in the thread of the run, closed there
        watch:   (Progress) -> None, called in that thread when something changed (use call_from_thread)
    run.start()              begins; returns at once
    run.state                the newest Progress (immutable); safe from every thread
    run.answer("yes")        answers `state.question`; one of its choices' keys
    run.skip("no car here")  ends the step under way as skipped; a reason is required
    run.abort()              restores the earlier limit and ends; `state.finished` tells when
    run.join(timeout_s)      True when it is over
    run.report()             Report of what is known so far; whole once `state.finished`;
                             `to_text()`, `to_json()`, and `report.write(report, path)` for both files

    Progress.steps      StepRecord per step in order: key, title, verdict ("waiting", "running", "passed",
                        "remark", "failed", "skipped"), text, values {words: words}, began_at, ended_at
    Progress.current    key of the step under way; "" at the end
    Progress.text       what happens now and what the person should do, in words
    Progress.question   None, or Question(text, choices=(Choice(key, label), ...))
    Progress.limit_a / accepted_a / drawn_a / meter_a   figures for display; None: unknown
    Progress.finished, Progress.result ("", "passed", "passed with remarks", "incomplete", "failed",
                        "aborted"); incomplete: Progress.text says which steps could not be tested
    Progress.fault      why the gateway could not be asked just now; "" all is well (it tries again)
    STEPS               keys and titles in order: accept, wire, connect, charge, step, phases, fallback

Rules of this room: only `driver` and the writing end of `report` touch anything outside; time comes in as
an argument everywhere else; it knows the gateway through `control` models and clients alone.
"""
