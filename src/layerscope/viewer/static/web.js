// The viewer in a tab of its own.

import { AddressBar } from "./address.js";
import { Http, takeToken } from "./http.js";
import { Link } from "./link.js";
import { start } from "./viewer.js";

start(new Link(new Http(takeToken())), new AddressBar());
