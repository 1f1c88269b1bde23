<%-- Counts the requests of a session in the memory of this server, as apps do. --%><%
  Integer before = (Integer) session.getAttribute("count");
  int count = before == null ? 1 : before + 1;
  session.setAttribute("count", count);
  response.setHeader("X-Backend", System.getProperty("app.name"));
  response.setHeader("X-Session", String.valueOf(request.getHeader("Remora-Session")));
  response.setHeader("X-Count", String.valueOf(count));
%><!doctype html><a href="<%= response.encodeURL("/count.jsp") %>">next</a>
