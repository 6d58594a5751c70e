"""A headless Chromium of the system, and servers for it to visit."""

import shutil
import threading
import time
from contextlib import contextmanager

import pytest
import uvicorn

from fgr_retriever.serve import create_app


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    """One browser for all tests; every test opens a page of its own."""
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not browser or not driver:
        pytest.skip("no chromium and chromedriver on the path (Debian: apt install chromium chromium-driver)")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = browser
    quiet = ("--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update")
    profile = tmp_path_factory.mktemp("profile")
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-sync", "--hide-scrollbars", *quiet):
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={profile}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = webdriver.Chrome(options=options, service=Service(driver))
    yield chrome
    chrome.quit()


@contextmanager
def _served(engine, count):
    server = uvicorn.Server(uvicorn.Config(create_app(engine, count), port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def served():
    """Serve an engine on a free port, in a `with` block that gives the address."""
    return _served
