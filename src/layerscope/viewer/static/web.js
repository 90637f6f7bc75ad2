// The viewer in a tab of its own.

import { Http, takeToken } from "./http.js";
import { Link } from "./link.js";
import { AddressBar } from "./place.js";
import { start } from "./viewer.js";

start(new Link(new Http(takeToken())), new AddressBar());
