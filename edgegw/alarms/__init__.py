"""What is wrong at the site, found by looking once a second. The life of an alarm is in `core.alarm_book`."""
