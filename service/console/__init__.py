"""The console: pages for the people who work for a brand, at ``/console``.

    routes    all handlers, and what a browser is answered where one refuses
    rooms     what there is to go to, and who sees it
    guard     who is signed in, and whether a form is their own: every room's routes declare it
    calls     a call of the API in this process, as the person who is signed in
    forms     what a form says
    page      a room's page, its tables as CSV, and the headers of both
    table     a table: the same rows as HTML and as CSV
    charts    bars, lines and burn-downs as SVG
    sign_in   passwords, one-time codes and sessions
    ROOM      one folder each: routes and templates

A room has no rules of its own: it calls the API's routes as functions. Nothing here needs JavaScript.
"""
